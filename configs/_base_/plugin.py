# Registers ConvMixer and the rest of the plugin before anything is built.
custom_imports = dict(imports=['mmconvmixer'], allow_failed_imports=False)
