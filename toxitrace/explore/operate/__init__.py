"""The operating loop: flagged items -> queries -> searches -> a review list, and preferences for the next DPO.

A round is one state of the index. A query is searched once in a round, however often the command is run; once the index
has changed, the next round searches it again, and that is its next trial. Queries that found too little in n trials are
retired.
"""

from toxitrace.explore.operate.config import AskSettings, OperateConfig, PairSettings, RetireRule
from toxitrace.explore.operate.loop import Ending, Loop
from toxitrace.explore.operate.sitting import Plan, Tools, index_mark, plan_sitting, run_sitting

__all__ = [
    "AskSettings",
    "Ending",
    "Loop",
    "OperateConfig",
    "PairSettings",
    "Plan",
    "RetireRule",
    "Tools",
    "index_mark",
    "plan_sitting",
    "run_sitting",
]
