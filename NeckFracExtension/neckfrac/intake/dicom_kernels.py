"""What a reconstruction kernel is for, by the names that the makers give them."""

from __future__ import annotations

import re

_BONE = re.compile(r"bone|edge|detail|osseous|\boss?\b|knochen|ybone|sharp", re.IGNORECASE)
_SOFT = re.compile(r"soft|stand|\bstd\b|brain|weichteil|smooth", re.IGNORECASE)


def kernel_kind(kernel: str, description: str = "") -> str:
    """bone, soft or '' (unknown) from the reconstruction kernel, else from the series description.

    Siemens: a letter or two and a number, sharp from 50 on (B60s, Br64f, Hr59); Canon: FC30...FC39 and
    FC80...FC86 bone, FC01...FC19 soft; Philips: YA...YE, D and E sharp, A and B soft; GE: by name.
    """
    kernel = kernel.strip()
    if siemens := re.fullmatch(r"[ABHIJSTUQ][a-z]?(\d\d)[a-z]?(\\.*)?", kernel):
        return "bone" if int(siemens[1]) >= 50 else "soft"
    if canon := re.match(r"FC(\d\d)", kernel):
        number = int(canon[1])
        return "bone" if 30 <= number < 40 or 80 <= number <= 86 else "soft" if number < 20 else ""
    if kernel in ("YA", "YB", "YC", "YD", "YE", "D", "E"):
        return "bone"
    if kernel in ("A", "B", "SA", "SB", "UA", "UB"):
        return "soft"
    for text in (kernel, description):
        if _BONE.search(text):
            return "bone"
        if _SOFT.search(text):
            return "soft"
    return ""
