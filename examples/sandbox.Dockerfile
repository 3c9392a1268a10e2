# A sandbox image of your own: what the agent's commands find.  It needs a shell; Python makes commands quicker.
#     docker build -t my-sandbox -f examples/sandbox.Dockerfile .
#     PYGENT_IMAGE=my-sandbox pygent --docker --cwd
ARG BASE=python:3.12-slim
FROM ${BASE}
# Tools that your project's tests need; at run time there is no network unless you open it.
ARG PACKAGES="git make"
RUN if [ -n "$PACKAGES" ]; then apt-get update && apt-get install -y --no-install-recommends $PACKAGES \
    && rm -rf /var/lib/apt/lists/*; fi
# Commands run as the owner of your workspace, whoever that is, on a root that can't be written.
ENV PYTHONDONTWRITEBYTECODE=1
