"""Language models: one request in, one reply out; never asked, or paid, twice for the same."""

from toxitrace.llm.batch import Outcome, ask_all, stop_on_interrupt
from toxitrace.llm.budget import Budget, BudgetedClient, BudgetSpent, Spending
from toxitrace.llm.cache import CachedClient, cache_key
from toxitrace.llm.estimate import Estimate, estimate
from toxitrace.llm.open import open_client
from toxitrace.llm.prices import PRICES, Price, find_price
from toxitrace.llm.protocol import Finish, LLMClient, LLMReply, LLMRequest
from toxitrace.llm.replay import RecordingClient, ReplayClient
from toxitrace.llm.retry import RetryingClient, RetryPolicy

__all__ = [
    "PRICES",
    "Budget",
    "BudgetSpent",
    "BudgetedClient",
    "CachedClient",
    "Estimate",
    "Finish",
    "LLMClient",
    "LLMReply",
    "LLMRequest",
    "Outcome",
    "Price",
    "RecordingClient",
    "ReplayClient",
    "RetryPolicy",
    "RetryingClient",
    "Spending",
    "ask_all",
    "cache_key",
    "estimate",
    "find_price",
    "open_client",
    "stop_on_interrupt",
]
