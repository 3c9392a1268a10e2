#!/bin/sh
# Review what is about to be committed; fails if the agent finds something grave.
#     examples/review.sh            or as .git/hooks/pre-commit
set -eu
answer=$(pygent --cwd --omit-tool write_file --omit-tool edit_file run - <<'END'
Review the staged changes of this repository (git diff --cached).
Answer with GRAVE in the first line if something must not be committed, else with FINE, then with your reasons.
END
)
printf '%s\n' "$answer"
case $answer in GRAVE*) exit 1 ;; esac
