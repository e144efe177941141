"""The built-in coroutines as they were in Python: a generator function for each, by its name."""
from .averager import averager
from .batch import batch
from .csv_parser import csv_parser
from .json_lines import json_lines
from .line_splitter import line_splitter
from .rolling_stats import rolling_stats
from .select import select
from .sliding_window import sliding_window
from .smtp_receiver import smtp_receiver
from .token_counter import token_counter

ORIGINALS = {
    original.__name__: original
    for original in (averager, batch, csv_parser, json_lines, line_splitter, rolling_stats, select, sliding_window,
                     smtp_receiver, token_counter)
}
