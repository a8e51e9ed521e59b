# Builds in one stage, runs in another: no compiler, no development dependencies, no root.

FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY scripts ./scripts
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:22-bookworm-slim
ENV NODE_ENV=production XDG_STATE_HOME=/var/lib/sluice
WORKDIR /app
RUN useradd --system --home-dir /var/lib/sluice --create-home sluice
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY config ./config
USER sluice
# Clients and operators; bind them to 0.0.0.0 in the settings, or share the pod's network as a sidecar does.
EXPOSE 6033 6032
HEALTHCHECK --interval=10s --timeout=2s --start-period=5s \
  CMD node -e "fetch('http://127.0.0.1:6032/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"
ENTRYPOINT ["node", "dist/main.js"]
CMD ["start"]
