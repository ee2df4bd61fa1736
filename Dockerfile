# heed: built and tested in the first stage; the second holds the two programs, the libraries they load and the models.
# `make image` builds it; docs/container.md says how to run it.
FROM debian:bookworm-slim AS build
WORKDIR /src
# Its own layer: sources change often, the list of packages rarely.
COPY scripts/install-deps scripts/
RUN scripts/install-deps build
COPY . .
# Tests that need PyTorch, the git tree or a network namespace run in CI; everything else runs here, without a network.
RUN cmake --preset release && cmake --build build/release && ctest --preset release --exclude-regex '^(deploy|export|repo|fault)_'
RUN mkdir -p /out/bin && for program in heed-server heed; do \
      install --strip "$(find build/release -name "$program" -type f -perm -u+x)" /out/bin/; done
# What ships, whatever else lies in models/: the build has links to those.
RUN cp -rL build/release/models /out/models

FROM debian:bookworm-slim
COPY scripts/install-deps /tmp/scripts/
RUN /tmp/scripts/install-deps runtime && rm -rf /tmp/scripts /var/lib/apt/lists/*
COPY --from=build /out/bin/ /usr/local/bin/
COPY --from=build /out/models /models
COPY LICENSE NOTICE /usr/share/doc/heed/
# By number, so that it can be checked without a user database (runAsNonRoot) and needs no entry in one.
USER 10001:10001
# Loopback is the server's default; inside a container it would reach nobody. Flags given to `docker run` go on top.
ENV HEED_MODELS=/models HEED_ADDRESS=0.0.0.0:8500 HEED_METRICS_ADDRESS=0.0.0.0:9500
EXPOSE 8500 9500
STOPSIGNAL SIGTERM
# Whatever address, port and TLS the server has: it needs no settings of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["heed-server", "--health"]
ENTRYPOINT ["heed-server"]
