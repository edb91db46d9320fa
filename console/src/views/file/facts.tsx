import type { ComponentChildren, JSX } from 'preact';
import { count, dateTime, exactSize } from '../../format';
import { texts } from '../../i18n';
import type { Information } from './information';

/** The table of the fields of an ID. */
export function Facts({ information }: { information: Information }): JSX.Element {
  const { id, source, created, size: bytes, crc32, kind, group, storePath } = information;
  const text = texts.value.file;
  return (
    <dl class="facts">
      <Fact name={text.id}>
        <code>{id}</code>
      </Fact>
      <Fact name={text.created}>
        <time dateTime={created}>{dateTime(created)}</time>
      </Fact>
      <Fact name={text.source}>{'ip' in source ? source.ip : text.sourceServer(count(source.serverId))}</Fact>
      <Fact name={text.size}>{bytes === null ? text.untold : exactSize(bytes)}</Fact>
      <Fact name={text.crc32}>{crc32 === null ? text.untold : <code>{crc32}</code>}</Fact>
      <Fact name={text.kind}>{text.kinds[kind] ?? kind}</Fact>
      <Fact name={text.group}>{group}</Fact>
      <Fact name={text.storePath}>{`M${(storePath + 0x100).toString(16).toUpperCase().slice(1)}`}</Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
