SCHEDULES = {
    "one training": (1,),
    "2 equal": (1, 1),
    "4 equal": (1,) * 4,
    "16 equal": (1,) * 16,
    "rising": (1, 3, 9, 27),
    "falling": (27, 9, 3, 1),
}


def markdown(**k):
    return "x"


def figures(**k):
    return {}
