# One fidfs node: nginx with njs, and the daemon. Settings are environment variables (docs/settings.md); the files
# and the index are in the volume /data. docker-compose.yml makes three nodes of it.
FROM node:22-bookworm-slim AS build
# For npm packages of which there is no binary for this machine.
RUN apt-get update -q && apt-get install -y -q --no-install-recommends g++ make python3 && rm -rf /var/lib/apt/lists/*
WORKDIR /srv/fidfs
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund --loglevel=error
COPY . .
# What runs, with its production packages, without what only compilers need.
RUN node bin/assemble.mjs /opt/fidfs

# Of Node, only the program: its headers and npm, 85 MB, are for builds.
FROM debian:bookworm-slim
COPY --from=build /usr/local/bin/node /usr/local/bin/
RUN apt-get update -q \
  && apt-get install -y -q --no-install-recommends nginx libnginx-mod-http-js \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --system --user-group --home-dir /data --shell /usr/sbin/nologin fidfs \
  && install -d -o fidfs -g fidfs -m 0700 /data
COPY --from=build /opt/fidfs /srv/fidfs
WORKDIR /srv/fidfs
USER fidfs
ENV FIDFS_DATA=/data FIDFS_LISTEN=0.0.0.0:8080
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "bin/fidfs.mjs"]
CMD ["start"]
