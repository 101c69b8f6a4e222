"""Run logs: one reader, one plotter, the tables of results, and the log backends."""
from mmconvmixer.visualization.logs import Log, read_log, read_logs, read_records
from mmconvmixer.visualization.plot import plot_logs
from mmconvmixer.visualization.tables import epochs_table, results_table

__all__ = ['Log', 'epochs_table', 'plot_logs', 'read_log', 'read_logs', 'read_records',
           'results_table']
