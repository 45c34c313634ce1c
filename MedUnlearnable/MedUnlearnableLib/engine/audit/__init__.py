"""The Audit: what protection did to the images, and whether it holds against attackers on the user's own data.

change.py, texture.py    what a reader or a radiomics program sees before and after
cohort.py, control.py    images to attack, split by case or slab, and the same noise without its knowledge of labels
conditions.py, cells.py  one attacker on one kind of training data
budget.py, attacks.py    which cells are run in the time there is
verdict.py               what may be concluded from them
"""
