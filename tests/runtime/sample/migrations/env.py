from runtime.migrations import run_environment

run_environment()
