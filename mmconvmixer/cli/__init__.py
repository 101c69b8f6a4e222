"""The commands of `mmconvmixer` and of tools/: arguments in, one exit code out."""
