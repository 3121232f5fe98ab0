# The service, a worker or the command line in one image: `docker run IMAGE serve`, `… worker`, `… diagnose -`.
#   docker build --tag devops-agent .
#   docker build --build-arg EXTRAS=postgres,llm,notify --build-arg PACKAGES="openssh-client git" --tag devops-agent .
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /source
RUN python3 -m venv /opt/devops-agent
COPY requirements.txt requirements-dev.txt ./
RUN /opt/devops-agent/bin/pip install --no-cache-dir --requirement requirements.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
ARG EXTRAS=postgres,llm,notify
RUN /opt/devops-agent/bin/pip install --no-cache-dir --constraint requirements-dev.txt ".[${EXTRAS}]" \
    && /opt/devops-agent/bin/pip uninstall --yes pip

FROM ${BASE}
ARG PACKAGES=openssh-client
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /home/agent agent \
    && install --directory --owner agent --group agent --mode 0700 /data
COPY --from=build /opt/devops-agent /opt/devops-agent
ENV PATH=/opt/devops-agent/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    DEVOPS_AGENT_DATA_DIR=/data \
    DEVOPS_AGENT_HOST=0.0.0.0
USER 10001
WORKDIR /home/agent
VOLUME /data
EXPOSE 5000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/livez', timeout=4)"]
ENTRYPOINT ["devops-agent"]
CMD ["serve"]
