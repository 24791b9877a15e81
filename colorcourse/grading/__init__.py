"""``colorkit grade`` and ``colorkit collect``: points for notebooks that were handed in.

`extract` takes the answers out of a notebook, `screen` refuses what no answer needs, `child` is the
script that runs an answer in a process of its own, which `process` starts, watches and asks;
`grade` judges what came back, and `report` writes it down. A notebook is never executed.
"""
