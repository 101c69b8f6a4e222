from mmconvmixer.visualization.curves import plot_curves
from mmconvmixer.visualization.log_plot import plot_logs
from mmconvmixer.visualization.logs import Log, read_log, read_logs
from mmconvmixer.visualization.runs import Run, epochs_table, read_run, read_runs, results_table

__all__ = ['Log', 'Run', 'epochs_table', 'plot_curves', 'plot_logs', 'read_log', 'read_logs',
           'read_run', 'read_runs', 'results_table']
