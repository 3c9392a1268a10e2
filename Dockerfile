# Pygent in a container: the language server, or `pygent` with --entrypoint pygent.
#     scripts/image                      makes the wheels and builds this
#     docker run -i --rm -v "$PWD:$PWD" -w "$PWD" -u "$(id -u):$(id -g)" -e OPENAI_API_KEY pygent-server
# Commands of the agent run in bubblewrap inside of it where the engine allows that, else plainly in this container.
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG PACKAGES="git bubblewrap"
RUN if [ -n "$PACKAGES" ]; then apt-get update && apt-get install -y --no-install-recommends $PACKAGES \
    && rm -rf /var/lib/apt/lists/*; fi
COPY wheels /tmp/wheels
# pip is used out of its own wheel, so that a base without it will do as well.
RUN pip=$(echo /tmp/wheels/pip-*.whl) && python3 "$pip/pip" install --no-cache-dir --no-index --find-links /tmp/wheels \
    --break-system-packages pygent-server && rm -rf /tmp/wheels
ENV HOME=/tmp/home XDG_STATE_HOME=/state PYTHONDONTWRITEBYTECODE=1
RUN mkdir -p -m 1777 /state /tmp/home
VOLUME /state
ENTRYPOINT ["pygent-server"]
CMD ["--stdio"]
