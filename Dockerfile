FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY requirements-dev.txt ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY safety safety
COPY controller controller
COPY hil hil
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
COPY requirements.txt /tmp/
RUN python -m pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt
COPY --from=build /wheels /tmp/wheels
# The data directory belongs to the user of the service: a named volume takes its owner from here.
RUN python -m pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stimwarden \
    && install --directory --owner stimwarden --group stimwarden --mode 700 /var/lib/stimwarden
USER 10001:10001
WORKDIR /var/lib/stimwarden
ENTRYPOINT ["stimwarden"]
CMD ["serve", "--config", "/etc/stimwarden/stimwarden.toml"]
