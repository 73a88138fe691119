# Argent in a container, without the CUDA half:
#   docker build -t argent . && docker run --rm argent say 'Hello.' -o - >hello.raw
# scripts/roots runs these steps without Docker.

FROM debian:12 AS build
COPY . /src
WORKDIR /src
RUN ARGENT_CUDA=OFF scripts/package

FROM debian:12
COPY --from=build /src/build-deb /packages
RUN apt-get update && apt-get install -y --no-install-recommends /packages/argent_*.deb
ENTRYPOINT ["argent"]
