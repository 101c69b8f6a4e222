from .curves import plot_curves
from .runs import Run, read_runs, results_table

__all__ = ['Run', 'plot_curves', 'read_runs', 'results_table']
