"""Names of people, where words around them say so; no list, so a bare name is not seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PARTICLE = r"(?:(?:van|von|de|der|den|del|la|da|dos|bin|al|el) ){0,2}"
_CAPITALISED = r"[A-ZÀ-ÖØ-Þ][\w'’-]+"
_NAME = rf"({_CAPITALISED}(?: {_PARTICLE}{_CAPITALISED}){{0,3}})"
_INTRODUCTION = (
    r"(?i:\bmy name is|\bmy name's|\bname ?:|\bi am called|\bthey call me|\bcall me|\bthis is"
    r"|\bich heiße|\bich bin|\bmein name ist|\bje m'appelle|\bme llamo|\bmi nombre es"
    r"|\bmy (?:wife|husband|brother|sister|son|daughter|friend|boss|mother|father|colleague)"
    r"(?: is)?(?: called)?|\bsincerely,|\bregards,|\byours,|\bcheers,)\s{1,2}"
)
_TITLE = r"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Señora?|Mme|Monsieur)\.? "
_LATIN = re.compile(rf"(?:{_INTRODUCTION}|{_TITLE}){_NAME}")
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁"
    "任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)
_CHINESE = re.compile(
    rf"(?:我叫|名字是|名字叫|我的名字是|姓名[:是]?\s?|收件人[:是]?\s?|联系人[:是]?\s?)"
    rf"([{_SURNAMES}][一-鿿]{{1,2}})"
    rf"|(?!谢谢)([{_SURNAMES}][一-鿿]{{0,2}})(?=先生|女士|小姐|老师|经理|医生)"
)


def names(text: str) -> Iterator[tuple[int, int]]:
    """Where names of people stand."""
    for match in sorted((*_LATIN.finditer(text), *_CHINESE.finditer(text)), key=re.Match.start):
        yield match.span(match.lastindex or 0)
