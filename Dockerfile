FROM python:3.12-slim-bookworm AS build
WORKDIR /src
COPY requirements-dev.txt ./
RUN python -m pip install --no-cache-dir --require-hashes -r requirements-dev.txt
COPY pyproject.toml README.md LICENSE ./
COPY safety safety
COPY controller controller
COPY hil hil
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12-slim-bookworm
COPY requirements.txt /tmp/
RUN python -m pip install --no-cache-dir --require-hashes -r /tmp/requirements.txt
COPY --from=build /wheels /tmp/wheels
# The data directory belongs to the user of the service: a named volume takes its owner from here.
RUN python -m pip install --no-cache-dir --no-deps /tmp/wheels/*.whl \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin stimwarden \
    && install --directory --owner stimwarden --group stimwarden --mode 700 /var/lib/stimwarden
# Nothing is written but the data: the root may be read-only.
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/stimwarden
VOLUME /var/lib/stimwarden
# Whether the safety loop goes round; a container that is unhealthy is shown as such, and restarted by whoever orchestrates it.
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9464/healthz', timeout=2)"]
ENTRYPOINT ["stimwarden"]
CMD ["serve", "--config", "/etc/stimwarden/stimwarden.toml"]
