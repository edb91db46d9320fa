import Database from 'better-sqlite3';
import type { Damage } from './damage.js';

/**
 * Opens the SQLite file of an index in WAL mode, and creates it if it does not exist. All calls of the connection and of the
 * statements that it prepares are watched for damage. Throws if the file cannot be opened, and a StoreError if it is damaged.
 */
export function openDatabase(file: string, damage: Damage): Database.Database {
  const database = damage.watch(() => new Database(file));
  watchMethods(database, ['pragma', 'exec'], damage);
  const prepare = (source: string): Database.Statement<unknown[]> => Database.prototype.prepare.call(database, source);
  const { transaction } = database;
  Object.assign(database, {
    prepare: (source: string) => {
      const statement = damage.watch(() => prepare(source));
      watchMethods(statement, ['run', 'get', 'all'], damage);
      const { iterate } = statement;
      return Object.assign(statement, {
        *iterate(...parameters: unknown[]) {
          try {
            yield* iterate.apply(statement, parameters);
          } catch (error) {
            damage.rethrow(error);
          }
        },
      });
    },
    transaction: (act: (...parameters: unknown[]) => unknown) => {
      const run = transaction.call(database, act);
      // The library runs its BEGIN and COMMIT outside of the statements that are watched.
      return (...parameters: unknown[]) => damage.watch(() => run(...parameters));
    },
  });
  try {
    database.pragma('journal_mode = WAL');
    return database;
  } catch (error) {
    database.close();
    if (damage.reason !== undefined) throw error;
    throw new Error(
      `the index ${file} cannot be opened (${(error as Error).message}); look at the disk and at the rights`,
      {
        cause: error,
      },
    );
  }
}

/** Wraps methods of an object so that they record damage. One closure each instead of a Proxy: they run for each upload. */
function watchMethods<Name extends string>(
  thing: { [name in Name]: (...parameters: never[]) => unknown },
  names: readonly Name[],
  damage: Damage,
): void {
  for (const name of names) {
    const method = thing[name];
    const watched = (...parameters: never[]) => {
      try {
        return method.apply(thing, parameters);
      } catch (error) {
        return damage.rethrow(error);
      }
    };
    Object.assign(thing, { [name]: watched });
  }
}
