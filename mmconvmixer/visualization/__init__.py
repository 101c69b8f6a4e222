from .curves import plot_curves
from .runs import Run, epochs_table, read_runs, results_table

__all__ = ['Run', 'epochs_table', 'plot_curves', 'read_runs', 'results_table']
