"""Plain words of a text in five languages: what search documents and questions are made of.

Case, accents, apostrophes and punctuation do not count. Chinese has no spaces, so a run of its
characters becomes its pairs of neighbours. Stems are PostgreSQL's part (`search_lexeme`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

LONGEST_WORD: Final = 40
_HAN: Final = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_HAN}]+|[^\W_{_HAN}]+")
_IS_HAN: Final = re.compile(rf"[{_HAN}]")
_CYRILLIC: Final = re.compile(r"[\u0400-\u04ff]")
# the circumflex, breve, horn, hook, grave and dot below, and the barred d
_VIETNAMESE: Final = re.compile("[\u0302\u0306\u031b\u0309\u0300\u0323đ]")
_MARKED: Final = re.compile(r"([a-z])[\u0300-\u036f]+")
_NEGATED: Final = re.compile(r"\b[a-z]+n't\b")
_ENDING: Final = re.compile(r"'(?:s|ll|re|ve|d|m|t)\b")
_APOSTROPHES: Final = str.maketrans("\u2019\u02bc", "''")
_LETTERS: Final = str.maketrans({"đ": "d", "ø": "o", "ł": "l", "ı": "i", "ё": "е"})
_DOTTED: Final = re.compile(r"\b(?:[^\W\d_]\.){2,}")
_MAIL: Final = re.compile(r"\S*@\S*")
_DIGITS: Final = re.compile(r"\d+")

# Words of speech that say nothing about what is asked for.
_FUNCTION_WORDS: Final[dict[str, str]] = {
    "en": """
a about actually again aint all already also always am an and another any anybody anyone anything
are arent as at be because been being but by can cannot cant could couldnt did didnt do does
doesnt doing done dont else even ever every everybody everyone everything for from get gets
getting give gives go goes going gone got had hadnt has hasnt have havent having he hello her here
hers hey hi him his how i if im in into is isnt it its ive just keep keeps know let lets like
looking many may maybe me might mine much must my myself need needed needs never no not now of oh
ok okay on one ones or our ours out please really said say says she should shouldnt so some
somebody someone something sort still such tell than thank thanks that thats the their them then
there theres these they theyre thing things this those to too try trying up us use very want
wanted wants was wasnt way we well were werent what whats when where which while who whom whose
why will wish with without wont would wouldnt yes yet you your youre yours
""",
    "es": """
a al algo alguien alguna alguno ante aqui asi aun cada como con cual cuales cuando cuanto de del
desde donde dos e el ella ellas ellos en entre era eres es esa ese eso esta estan estas este esto
estos estoy fue gracias ha hacer hago han hasta hay hola la las le les lo los mas me mi mia mio
mis mucho muy nada necesita necesito ni no nos nosotros nuestra nuestro o otra otro para pero poco
podria por porque puede puedo pues que quien quiere quiero quisiera se ser si sin sobre somos son
soy su sus tambien tan tener tengo ti tiene todo todos tu tus un una uno unos usted ustedes va voy y
ya yo
""",
    "vi": """
ai anh bao bằng bị bởi các cái cần cho chị chúng có của cũng cứ dùng đã đang đâu để đến đi đó được
em gì giúp hãy hay hoặc khi không làm là lại lên mà mình mỗi một muốn này nào nên nếu ngày như nhưng
những nơi nữa ở ông phải quá ra rằng rất sao sẽ tại thế thì tôi trên trong từ và vào vậy về vì việc
với vẫn xin
""",
    "ru": """
а без бы был была было быть в вам вас ваш все всё где да для до его ее её если есть еще ещё же за
здравствуйте и из или им их к как какая какие какой когда кого кто куда ли меня мне мной могу можно
мой моя моё мы на надо нам нас наш не нет ни ничего но ну нужен нужна нужно о об он она они от по
пожалуйста помогите после потому при про с себя сейчас со спасибо так такой там то тоже только ты
у уже хочу хотел хотела что чтобы это этот эта эти я
""",
}


def spoken(text: str) -> list[tuple[str, str]]:
    """Split a text into its words in order: each plain, and as it was said (in lower case).

    Accents of other scripts than Latin stay in the plain form: they are letters of their own
    there. Negated verbs are left out.

    >>> spoken("Señor, it isn't MY street-light's")
    [('senor', 'señor'), ('it', 'it'), ('my', 'my'), ('street', 'street'), ('light', 'light')]
    >>> [plain for plain, _said in spoken("路燈壞了")]
    ['路燈', '燈壞', '壞了']
    """
    text = unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES)
    text = _ENDING.sub("", _NEGATED.sub(" ", text)).replace("'", "")
    text = _DOTTED.sub(lambda found: found[0].replace(".", ""), text)
    found: list[tuple[str, str]] = []
    for run in _WORD.findall(unicodedata.normalize("NFC", text)):
        if is_han(run):
            parts = [one + other for one, other in pairwise(run)] or [run]
            found.extend((part, part) for part in parts)
        else:
            found.append((_plain(run)[:LONGEST_WORD], run[:LONGEST_WORD]))
    return found


def words_of(text: str) -> list[str]:
    """Split a text into its plain words, in order.

    >>> words_of("Đèn đường bị hỏng (2nd one)")
    ['den', 'duong', 'bi', 'hong', '2nd', 'one']
    """
    return [word for word, _said in spoken(text)]


def content_words(text: str, language: str) -> list[str]:
    """Split a text into the plain words that say what it is about.

    >>> content_words("There is a hole in the road", "en")
    ['hole', 'road']
    """
    return [word for word, said in spoken(text) if not is_function_word(word, said, language)]


def joined(words: Sequence[str]) -> list[str]:
    """Write neighbours as one word, as people do: *street light*, *streetlight*.

    >>> joined(["street", "light", "out"])
    ['streetlight', 'lightout']
    """
    return [
        (one + other)[:LONGEST_WORD]
        for one, other in pairwise(words)
        if not (is_han(one) or is_han(other))
    ]


def is_function_word(word: str, said: str, language: str) -> bool:
    """Whether a word of a language only holds a sentence together.

    In Vietnamese the accents tell (*cho* is *for*, *chó* is a dog), elsewhere they do not.
    """
    return (said if language == "vi" else word) in FUNCTION_WORDS.get(language, ())


def is_han(word: str) -> bool:
    """Whether a word is of Chinese characters."""
    return _IS_HAN.match(word) is not None


def languages_of(said: str) -> tuple[str, ...]:
    """Give the languages that a word, as it was said, may belong to by its letters.

    >>> languages_of("свет"), languages_of("luz"), languages_of("đèn")
    (('ru',), ('en', 'es', 'vi'), ('vi',))
    """
    if is_han(said):
        return ("zh-Hant",)
    if _CYRILLIC.match(said):
        return ("ru",)
    if _VIETNAMESE.search(unicodedata.normalize("NFD", said)):
        return ("vi",)
    return ("en", "es", "vi", "ru", "zh-Hant") if said.isdecimal() else ("en", "es", "vi")


def masked(text: str, *, longest: int = 100) -> str:
    """Write what was searched for without what could point at a person: digits and addresses.

    >>> masked("Water leak at 5512 SE Pine,  call 503-555-0134 or me@example.org")
    'water leak at # se pine, call # or #'
    """
    text = _MAIL.sub("#", unicodedata.normalize("NFKC", text).casefold())
    text = re.sub(r"\(?#(?:[-. ()/]*#)+", "#", _DIGITS.sub("#", text))
    return " ".join(text.split())[:longest].strip()


def slips_between(one: str, other: str, most: int) -> int | None:
    """Count the letters missed, added, changed or swapped with a neighbour, up to ``most``.

    None when there are more (Damerau's distance, no letter being touched twice).

    >>> slips_between("pohtole", "pothole", 2), slips_between("libery", "library", 2)
    (1, 2)
    >>> slips_between("pothole", "graffiti", 2) is None
    True
    """
    if abs(len(one) - len(other)) > most:
        return None
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, facing in enumerate(other, 1):
            cost = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != facing))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == facing:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return None
        before, last = last, line
    return last[-1] if last[-1] <= most else None


def _plain(word: str) -> str:
    if word.isascii():
        return word
    bare = _MARKED.sub(r"\1", unicodedata.normalize("NFD", word))
    return unicodedata.normalize("NFC", bare).translate(_LETTERS)


FUNCTION_WORDS: Final = {
    language: frozenset(
        words.split() if language == "vi" else (_plain(word) for word in words.split())
    )
    for language, words in _FUNCTION_WORDS.items()
}
"""Words that only hold sentences together, by language."""
