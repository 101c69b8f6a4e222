"""mmpretrain's runtime with this plugin, which also logs a CSV table and to TensorBoard."""
_base_ = ['mmpretrain::_base_/default_runtime.py', 'plugin.py']

vis_backends = [
    dict(type='LocalVisBackend'),
    dict(type='CSVVisBackend'),
    dict(type='TensorboardVisBackend', required=False),
]
# A new dict: the inherited one has a scope, which mmpretrain's tools do not expect.
visualizer = dict(_delete_=True, type='UniversalVisualizer', vis_backends=vis_backends)
