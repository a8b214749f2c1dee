"""What customers say: scores that follow from late parcels, and sentences of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from lakehouse.source.made.calendar import DAY, text
from lakehouse.source.made.lots import Lot

_IN_TIME = {1: 7.6, 2: 2.7, 3: 8.1, 4: 20.1, 5: 61.5}
_LATE = {1: 41, 2: 7, 3: 11, 4: 13, 5: 28}
_GOOD = (
    "Chegou tudo certo e bem embalado",
    "Gostei bastante, compraria de novo",
    "Entrega rápida, produto igual ao anunciado",
    "Ótima qualidade pelo preço",
    "Minha mãe adorou o presente 😊",
    "Recomendo a loja, atendimento atencioso",
    "Veio antes do prazo, parabéns",
    "Funciona bem, sem nenhum defeito",
)
_FAIR = (
    "O produto é bom, mas a caixa veio amassada",
    "Cor um pouco diferente da foto",
    "Demorou mais do que eu esperava",
    "Serve, porém o acabamento poderia ser melhor",
    "Faltou o manual; o resto está em ordem",
)
_BAD = (
    "Ainda não recebi a mercadoria, ninguém responde",
    "Comprei duas unidades e veio apenas uma",
    "Produto errado, quero trocar",
    "Quebrou no primeiro dia de uso",
    "Pedi o reembolso e até agora nada",
    "Prazo vencido e o rastreio parado",
)
_QUOTED = ('Anúncio dizia "pronta entrega", mas não era', 'O modelo é o "novo", não o antigo', 'Tela de 15" perfeita')
_TITLES = ("Recomendo", "Muito bom", "Ótimo", "Bom", "Regular", "Não gostei", "Péssimo", "Super recomendo", "10", "NA")
_JOINTS = ((". ", 88), ("\n", 5), ("\r\n", 3), ("\n\n", 1), (" , ", 3))
_QUOTED_EVERY = 700


class Reviewers:
    """Writes the reviews of one order after the other."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._in_time, self._late = (Lot(list(scores.items()), rng.random) for scores in (_IN_TIME, _LATE))
        self._joint = Lot(_JOINTS, rng.random)
        self._number = 0
        self._previous = ""

    def lines(self, order_id: str, ended: int, *, late: bool) -> Iterator[str]:
        """Yield the lines of an order's reviews: mostly one, at times none or two; some share another's id."""
        draw = self._rng.random()
        if draw < 0.0075:
            return
        if draw > 0.9918 and self._previous:
            review_id, said = self._previous.split("|", 1)
            yield f"{review_id},{order_id},{said}\n"
            return
        for _ in range(2 if draw < 0.013 else 1):
            review_id = f"{self._rng.getrandbits(128):032x}"
            said = self._said(ended, self._late if late else self._in_time)
            self._previous = f"{review_id}|{said}"
            yield f"{review_id},{order_id},{said}\n"

    def _said(self, ended: int, score: Lot[int]) -> str:
        """Return the fields from the score on."""
        self._number += 1
        asked = (ended // DAY + 1) * DAY
        answered = asked + int(self._rng.expovariate(1 / 3) * DAY) + int(self._rng.random() * DAY)
        given = score()
        return f"{given},{self._title()},{self._message(given)},{text(asked)},{text(answered)}"

    def _title(self) -> str:
        return _one(_TITLES, self._rng.random) if self._rng.random() < 0.119 else ""

    def _message(self, score: int) -> str:
        draw = self._rng.random
        if self._number % _QUOTED_EVERY == 80:
            return _csv(_one(_QUOTED, draw) + "." + self._joint() + _one(_FAIR, draw))
        if draw() > 0.42:
            return ""
        sentences = _GOOD if score > 3 else _FAIR if score == 3 else _BAD
        parts = [_one(sentences, draw)]
        while draw() < 0.55:
            parts += [self._joint(), _one(sentences, draw)]
        return _csv("".join(parts) + ("." if draw() < 0.7 else ""))


def _one(words: tuple[str, ...], draw: Callable[[], float]) -> str:
    return words[int(draw() * len(words))]


def _csv(field: str) -> str:
    quoted = field.replace('"', '""')
    return f'"{quoted}"' if any(mark in field for mark in ',"\r\n') else field
