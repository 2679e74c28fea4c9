"""Progress bars for what takes longer than two seconds: how far it is, and how long it still takes."""

from functools import partial

from tqdm import tqdm

# If one step runs within another, both write to the same line.
bar = partial(tqdm, delay=2, position=0)
# For a step that is taken many times: it leaves nothing behind.
passing_bar = partial(bar, leave=False)
