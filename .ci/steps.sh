# Named steps with their times, for the scripts in .ci. Sourced.
# shellcheck shell=bash

export CARGO_TERM_COLOR=never

# step NAME: prints the time so far.
step() {
    printf '\n== [%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"
}
