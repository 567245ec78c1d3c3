#!/usr/bin/env python3
"""Texts with identifiers at known places, made from a seed.

    pii_text.py [--seed N] [--count N]     JSON lines: {"text", "spans": [...]}

Sentences in English, German, French and Chinese hold identifiers of sixteen
kinds in the forms people write them in, with punctuation and Han characters
next to them; and every other text holds what only looks like one: order
numbers, prices, dates, versions, ISBN, measurements, numbers that fail their
checksum. A span is [start, size, kind] in bytes of the UTF-8 text.
"""
import argparse
import base64
import json
import random
import string

NBSP, THIN, EN_DASH = "\u00a0", "\u202f", "\u2013"

FIRST = """anna ben clara david emma felix greta hugo ines jonas karla louis
marie noah olga paul quentin rosa simon thea wei li na fang jun min tao yan
zhang wang chloe lucas amelie antoine james olivia harry sophia""".split()
LAST = """schmidt mueller weber fischer becker dupont martin bernard petit
leroy smith jones brown taylor wilson davies zhao qian sun li zhou wu zheng
chen yang huang garcia rossi novak o'brien""".split()
SITES = """example.com example.org example.net mail.example.de firma-beispiel.de
exemple.fr courriel.exemple.fr example.co.uk qq.com 163.com 126.com
sina.com.cn foxmail.com gmail.com outlook.com gmx.de web.de orange.fr
uni-beispiel.de sub.domain.example.io muenchen.example shop.example.cn
m\u00fcller-beispiel.de""".split()


# Checksums ----------------------------------------------------------------

def luhn_digit(body):
    total = 0
    for i, c in enumerate(reversed(body)):
        d = int(c)
        if i % 2 == 0:
            d = d * 2 - 9 if d > 4 else d * 2
        total += d
    return str(-total % 10)


def digits(r, n):
    return "".join(r.choice(string.digits) for _ in range(n))


def iban_check(country, bban):
    number = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{98 - int(number) % 97:02d}"


def resident_digit(body):
    total = sum(int(c) * pow(2, 17 - i, 11) for i, c in enumerate(body))
    return "10X98765432"[total % 11]


# Identifiers --------------------------------------------------------------

def email(r):
    first, last = r.choice(FIRST), r.choice(LAST)
    local = r.choice([
        f"{first}.{last}", f"{first}_{last}", f"{first}{r.randint(1, 99)}",
        f"{first[0]}{last}", f"{first}-{last}+shop", f"{last}.{first}.{first[0]}",
        f"{first}{last}{r.randint(1950, 2010)}", first, digits(r, 9),
        "1" + r.choice("3578") + digits(r, 9), f"{first.capitalize()}.{last.upper()}",
    ])
    address = f"{local}@{r.choice(SITES)}"
    return address.upper() if r.random() < 0.05 else address


def email_spelled(r):
    site = r.choice(["example.com", "example.de", "exemple.fr"])
    name, top = site.rsplit(".", 1)
    local = f"{r.choice(FIRST)}.{r.choice(LAST).replace(chr(39), '')}"
    return r.choice([
        f"{local}(at){site}", f"{local} (at) {site}", f"{local} [at] {site}",
        f"{local}[at]{name}[dot]{top}", f"{local} (at) {name} (dot) {top}",
        f"{local} [\u00e4t] {name} [punkt] {top}", f"{local}\uff20{site}",
        f"{local} @ {site}", f"{local} at {name} dot {top}",
    ])


def gap(r):
    return r.choice([" ", " ", "-", "-", ".", NBSP, EN_DASH, THIN, "  "])


def mobile_cn(r):
    n = "1" + r.choice("3456789") + digits(r, 9)
    g = gap(r)
    grouped = g.join([n[:3], n[3:7], n[7:]])
    return r.choice([
        n, n, grouped, grouped, f"+86 {n}", f"+86{n}", f"+86-{grouped}",
        f"+86 {grouped}", f"86-{n}", f"86{n}", f"0086 {grouped}", f"(+86){n}",
        f"(+86) {grouped}", f"{n[:3]} {n[3:]}", g.join([n[:4], n[4:7], n[7:]]),
        f"\uff08+86\uff09{n}", " ".join(n),
    ])


def phone_international(r):
    country, sizes = r.choice([
        ("1", (3, 3, 4)), ("44", (4, 6)), ("44", (2, 4, 4)), ("49", (3, 7)),
        ("49", (2, 8)), ("49", (4, 3, 3)), ("33", (1, 2, 2, 2, 2)),
        ("39", (3, 7)), ("34", (3, 3, 3)), ("31", (1, 8)), ("43", (3, 7)),
        ("41", (2, 3, 2, 2)), ("81", (2, 4, 4)), ("852", (4, 4)), ("65", (4, 4)),
        ("7", (3, 3, 2, 2)), ("61", (3, 3, 3)), ("91", (5, 5)), ("420", (3, 3, 3)),
    ])
    parts = [str(r.randint(2, 9)) + digits(r, s - 1) if i == 0 else
             str(r.randint(2, 9)) + digits(r, s - 1)
             for i, s in enumerate(sizes)]
    g = gap(r)
    lead = r.choice(["+", "+", "+", "00"])
    rest = g.join(parts)
    area = g.join(parts[1:])
    forms = [f"{lead}{country} {rest}", f"{lead}{country}{g}{rest}",
             f"{lead}{country}{''.join(parts)}",
             f"{lead}{country} ({parts[0]}) {area}"]
    if country in ("49", "44", "33", "43", "41"):
        forms.append(f"{lead}{country} (0){rest}")
        forms.append(f"{lead}{country} (0) {rest}")
    return r.choice(forms)


def phone_us(r):
    a = str(r.randint(2, 9)) + digits(r, 2)
    b = str(r.randint(2, 9)) + digits(r, 2)
    c = digits(r, 4)
    return r.choice([f"({a}) {b}-{c}", f"{a}-{b}-{c}", f"{a}.{b}.{c}",
                     f"{a} {b} {c}", f"1-{a}-{b}-{c}", f"1 ({a}) {b}-{c}",
                     f"({a}){b}-{c}", f"{a}{NBSP}{b}{NBSP}{c}",
                     f"({a}) {b} {c}", f"{a}{EN_DASH}{b}{EN_DASH}{c}"])


def phone_uk(r):
    return r.choice([f"020 7{digits(r, 3)} {digits(r, 4)}",
                     f"(020) 7{digits(r, 3)} {digits(r, 4)}",
                     f"07{digits(r, 3)} {digits(r, 6)}",
                     f"07{digits(r, 3)} {digits(r, 3)} {digits(r, 3)}",
                     f"0161 {digits(r, 3)} {digits(r, 4)}",
                     f"0161-{digits(r, 3)}-{digits(r, 4)}",
                     f"(01632) {digits(r, 6)}", f"01632 {digits(r, 6)}"])


def phone_de(r):
    return r.choice([f"030 {digits(r, 7)}", f"030/{digits(r, 8)}",
                     f"0711 / {digits(r, 3)} {digits(r, 3)}",
                     f"(0711) {digits(r, 6)}", f"0171-{digits(r, 7)}",
                     f"0151 {digits(r, 8)}", f"0176{digits(r, 8)}",
                     f"089 {digits(r, 3)} {digits(r, 2)} {digits(r, 2)}",
                     f"040-{digits(r, 4)}-{digits(r, 3)}",
                     f"06221 {digits(r, 5)}-{r.randint(0, 99)}",
                     f"0221.{digits(r, 6)}", f"0 30 / {digits(r, 7)}"[:0] +
                     f"0341{NBSP}{digits(r, 7)}"])


def phone_fr(r):
    parts = ["0" + str(r.randint(1, 9))] + [digits(r, 2) for _ in range(4)]
    return r.choice([" ", " ", ".", "-", NBSP, ""]).join(parts)


def phone_cn_fixed(r):
    area = r.choice(["010", "021", "0755", "0571", "(010)", "(0755)"])
    return area + r.choice(["-", " ", "-"]) + str(r.randint(2, 8)) + digits(r, 7)


def card(r):
    prefix, size = r.choice([
        ("4", 16), ("4", 16), ("4", 13), ("51", 16), ("55", 16), ("2221", 16),
        ("34", 15), ("37", 15), ("6011", 16), ("65", 16), ("3528", 16),
        ("36", 14), ("6222", 19), ("6217", 19), ("62", 16), ("4", 19)])
    body = prefix + digits(r, size - len(prefix) - 1)
    n = body + luhn_digit(body)
    g = r.choice([" ", " ", "-", NBSP, ".", ""])
    if size == 15:
        return g.join([n[:4], n[4:10], n[10:]])
    if size == 14:
        return g.join([n[:4], n[4:10], n[10:]])
    if size == 13:
        return n
    return g.join(n[i:i + 4] for i in range(0, size, 4))


def iban(r):
    country, shape = r.choice([
        ("DE", "n18"), ("DE", "n18"), ("FR", "n10a11n2"), ("GB", "l4n14"),
        ("AT", "n16"), ("CH", "n17"), ("NL", "l4n10"), ("ES", "n20"),
        ("IT", "l1n22"), ("BE", "n12"), ("PL", "n24"), ("LU", "n16"),
        ("NO", "n11"), ("MT", "l4n5a18")])
    bban, i = "", 0
    while i < len(shape):
        kind, j = shape[i], i + 1
        while j < len(shape) and shape[j].isdigit():
            j += 1
        pool = {"n": string.digits, "l": string.ascii_uppercase,
                "a": string.ascii_uppercase + string.digits}[kind]
        bban += "".join(r.choice(pool) for _ in range(int(shape[i + 1:j])))
        i = j
    n = country + iban_check(country, bban) + bban
    if r.random() < 0.1:
        n = n.lower()
    g = r.choice([" ", " ", "", "", "-", NBSP])
    return g.join(n[i:i + 4] for i in range(0, len(n), 4))


def resident(r):
    body = (r.choice(["110105", "310104", "440305", "330106", "510107"]) +
            f"{r.randint(1940, 2015)}{r.randint(1, 12):02d}{r.randint(1, 28):02d}" +
            digits(r, 3))
    n = body + resident_digit(body)
    if r.random() < 0.2:
        n = n.lower()
    g = r.choice([" ", "-"])
    return r.choice([n, n, n, g.join([n[:6], n[6:14], n[14:]])])


def ipv4(r):
    return ".".join(str(r.randint(1, 254)) for _ in range(4))


def ipv6(r):
    groups = [f"{r.randint(0, 65535):x}" for _ in range(8)]
    return r.choice([
        ":".join(groups), "2001:db8::" + groups[0], "fe80::" + ":".join(groups[:4]),
        "2001:db8:" + groups[1] + "::" + groups[2] + ":" + groups[3],
        "fe80::1%eth0", "::ffff:" + ipv4(r), "2001:0DB8:" + ":".join(groups[:6]).upper()])


def word(r, pool, low, high):
    return "".join(r.choice(pool) for _ in range(r.randint(low, high)))


B62 = string.ascii_letters + string.digits


def password(r):
    return r.choice([
        word(r, B62, 7, 9) + r.choice("!$%*?") + str(r.randint(1, 99)),
        r.choice(["Sommer", "Winter", "Hunter", "Dragon"]) + str(r.randint(1, 2026)) + "!",
        r.choice(FIRST) + digits(r, 4), word(r, B62 + "!$%+#", 10, 16) + "7"])


def userinfo(r):
    plain = word(r, B62 + "!$%*-_.", 8, 14)
    return f"{r.choice(FIRST)}:{r.choice(LAST)[0]}{plain}"


def token(r):
    def part(n):
        return base64.urlsafe_b64encode(r.randbytes(n)).decode().rstrip("=")
    return r.choice([
        "eyJhbGciOiJIUzI1NiJ9.eyJ" + part(30) + "." + part(32),
        r.randbytes(16).hex(), r.randbytes(20).hex(), r.randbytes(32).hex().upper(),
        part(24), part(32), base64.b64encode(r.randbytes(32)).decode(),
        base64.b64encode(r.randbytes(30)).decode(),
        "ghp_" + word(r, B62, 36, 36), "sk_live_" + word(r, B62, 24, 24),
        "AKIA" + word(r, string.ascii_uppercase + "234567", 16, 16),
        "xoxb-" + digits(r, 12) + "-" + digits(r, 12) + "-" + word(r, B62, 24, 24),
        "AIza" + word(r, B62 + "-_", 35, 35)[:-1] + "x", word(r, B62, 32, 40),
        "-".join(r.randbytes(n).hex() for n in (4, 2, 2, 2, 6))])


WIDE = {c: chr(ord(c) + 0xfee0) for c in string.digits}


def widen(r, text):
    """As a Chinese keyboard may write it: digits, and some of the rest."""
    rest = "+-().@" if r.random() < 0.5 else ""
    return "".join(WIDE.get(c) or (chr(ord(c) + 0xfee0) if c in rest else c)
                   for c in text)


KINDS = {
    "email": (email, "email"), "email_spelled": (email_spelled, "email"),
    "mobile_cn": (mobile_cn, "phone"), "fixed_cn": (phone_cn_fixed, "phone"),
    "phone_international": (phone_international, "phone"),
    "phone_us": (phone_us, "phone"), "phone_uk": (phone_uk, "phone"),
    "phone_de": (phone_de, "phone"), "phone_fr": (phone_fr, "phone"),
    "card": (card, "card"), "iban": (iban, "iban"),
    "resident": (resident, "national_id"), "ipv4": (ipv4, "ip"),
    "ipv6": (ipv6, "ip"), "token": (token, "token"),
}
NUMERIC = {"mobile_cn", "card", "resident", "phone_international", "fixed_cn"}

# {} is the identifier.
FRAMES = {
    "en": ["Please write to {}.", "My contact is {}, thanks!", "({})",
           "I can be reached under {} after six", "Sent from {}; please confirm.",
           "Customer left \"{}\" in the form", "Is {} still right?", "{}",
           "ref: {} / urgent", "I paid with {} last week and nothing came",
           "Hi, this is {}", "details <{}>", "see '{}' in the log",
           "found {}, twice", "* {}\n* the other one is lost"],
    "de": ["Bitte schreiben Sie an {}.", "Meine Daten: {}, danke!",
           "Erreichbar bin ich unter {} ab 18 Uhr", "Stimmt {} noch?",
           "Ich habe {} angegeben; es kam nichts", "(siehe {})", "\u201e{}\u201c",
           "Gr\u00fc\u00dfe aus K\u00f6ln, {}", "Vermerk:{}"],
    "fr": ["\u00c9crivez \u00e0 {}.", "Mes coordonn\u00e9es : {}, merci !", "\u00ab {} \u00bb",
           "C'est {} depuis l'\u00e9t\u00e9", "Je suis joignable : {}",
           "Est-ce que {} est correct ?", "(voir {})"],
    "zh": ["\u6211\u7684\u8054\u7cfb\u65b9\u5f0f\u662f{}\uff0c\u8c22\u8c22", "\u8bf7\u53d1\u5230{}\u3002", "\u8bf7\u8054\u7cfb{}\u5f20\u5148\u751f", "\uff08{}\uff09",
           "\u5ba2\u6237\u7559\u4e0b\u4e86{}\u8fd9\u4e2a\u4fe1\u606f", "\u201c{}\u201d", "\u767b\u8bb0\uff1a{}\uff1b\u5df2\u786e\u8ba4", "{}\u662f\u6211\u7684", "\u6536\u5230{}\u4e86\u5417\uff1f",
           "\u59d3\u540d\u738b\u82b3\u3001{}\u3001\u5317\u4eac"],
}

# {} is the value of a secret, which is the span.
SECRETS = ["password={}", "password: {}", "Passwort: {}", "\u5bc6\u7801\uff1a{}",
           "\u5bc6\u7801\u662f{}\u3002", "mot de passe : {}", "pwd={}", "api_key = {}",
           "DB_PASSWORD='{}'", "{{\"client_secret\": \"{}\"}}", "my password is {}",
           "Kennwort: {}, danke", "login ok, passwd={}; next"]
QUERIES = ["https://shop.example/a?token={}", "https://x.example/?id=7&key={}&lang=de",
           "http://host.example/cb?access_token={}#top",
           "https://shop.example/r?page=2&password={}"]
URLS = ["https://{}@host.example/path", "ftp://{}@files.example:2121/",
        "postgres://{}@db.example:5432/shop", "redis://{}@10-0-0-9.example/0"]

def isbn10(r):
    body = "3" + digits(r, 8)
    check = -sum((10 - i) * int(c) for i, c in enumerate(body)) % 11
    return body + ("X" if check == 10 else str(check))


def bad_luhn(r):
    body = "4" + digits(r, 14)
    return body + str((int(luhn_digit(body)) + r.randint(1, 9)) % 10)


def negative(r):
    """What is nobody's, however long."""
    d = digits
    return r.choice([
        lambda: f"order no. {r.randint(10**6, 10**9)}",
        lambda: f"Bestellung {d(r, 3)}-{d(r, 7)}-{d(r, 7)}",
        lambda: f"commande n\u00b0 FR{d(r, 6)}", lambda: f"\u8ba2\u5355\u53f7{2}{d(r, 9)}",
        lambda: f"ISBN {isbn10(r)}", lambda: f"ISBN 978-3-{d(r, 2)}-{d(r, 6)}-{d(r, 1)}",
        lambda: f"{r.randint(1, 999)}.{d(r, 3)},{d(r, 2)} \u20ac",
        lambda: f"${r.randint(1, 99)},{d(r, 3)}.{d(r, 2)}", lambda: f"\u00a5{r.randint(1, 99999)}.00",
        lambda: f"{r.randint(1, 28):02d}.{r.randint(1, 12):02d}.{r.randint(1990, 2030)}",
        lambda: f"{r.randint(1990, 2030)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}",
        lambda: f"{r.randint(1990, 2030)}\u5e74{r.randint(1, 12)}\u6708{r.randint(1, 28)}\u65e5",
        lambda: f"{r.randint(1, 28):02d}/{r.randint(1, 12):02d}/{r.randint(2000, 2030)} {r.randint(0, 23):02d}:{r.randint(0, 59):02d}",
        lambda: f"2026-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}T{r.randint(10, 23)}:{r.randint(10, 59)}:00Z",
        lambda: f"{r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}",
        lambda: f"08:30-17:{r.randint(10, 59)}", lambda: f"08.30 - 17.{r.randint(10, 59)} Uhr",
        lambda: f"version {r.randint(1, 20)}.{r.randint(0, 20)}.{r.randint(0, 99)}",
        lambda: f"v{r.randint(1, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}",
        lambda: f"Version {r.randint(1, 99)}.{r.randint(0, 9)}.{r.randint(0, 9)}.{r.randint(0, 250)}",
        lambda: f"\u7248\u672c{r.randint(1, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}.{r.randint(0, 9)}",
        lambda: bad_luhn(r), lambda: f"{r.randint(10**13, 10**14)}7"[:13],
        lambda: f"SKU-{d(r, 4)}-{word(r, string.ascii_uppercase, 2, 4)}",
        lambda: f"{word(r, string.ascii_uppercase, 2, 3)}{d(r, 6)}",
        lambda: f"#{r.choice(['sale', 'winter', 'angebot'])}{r.randint(2020, 2027)}",
        lambda: f"{r.randint(10, 300)}x{r.randint(10, 300)}x{r.randint(10, 99)} cm",
        lambda: f"{r.randint(1, 99)}.{d(r, 4)} kg", lambda: f"3 x {r.randint(100, 999)} ml",
        lambda: f"{r.randint(1, 99)} %", lambda: f"@{r.choice(FIRST)}_{r.choice(FIRST)}",
        lambda: f"https://shop.example/p/{d(r, 5)}?color=red&size=42",
        lambda: f"www.example.com/{r.choice(FIRST)}-{r.choice(FIRST)}-edition-2026",
        lambda: "std::vector<int>", lambda: f"{r.randint(1, 9)}:{r.randint(1, 9)}",
        lambda: f"00:1B:44:11:3A:{r.randint(16, 255):02X}"[:14],
        lambda: "forgot my password", lambda: "Passwort vergessen?",
        lambda: "password must be long", lambda: "the token expired",
        lambda: "getElementByIdAndClassName", lambda: f"IMG_{20260101 + r.randint(0, 27)}_{d(r, 6)}.jpg",
        lambda: f"{r.randint(100, 999)} {d(r, 3)} {d(r, 3)} visitors",
        lambda: f"1{r.randint(6, 7)}{d(r, 8)}", lambda: f"{r.randint(1, 60)}\u00b0{r.randint(1, 60)}' N",
        lambda: "very-long-product-name-with-dashes-2026-xl",
        lambda: f"\u7b2c{r.randint(1, 99)}\u7ae0", lambda: f"\u5171{r.randint(1, 999)}\u4ef6",
    ])()


def piece(r, language):
    """(before, identifier, after, kind) of one sentence."""
    roll = r.random()
    if roll < 0.08:
        frame, what, kind = r.choice(SECRETS), password(r), "secret"
    elif roll < 0.13:
        frame, what, kind = r.choice(QUERIES), word(r, B62, 12, 30) + "a1", "secret"
    elif roll < 0.19:
        frame, what, kind = r.choice(URLS), userinfo(r), "credential"
    else:
        name = r.choice(list(KINDS))
        make, kind = KINDS[name]
        what = make(r)
        if name in NUMERIC and r.random() < 0.2:
            what = widen(r, what)
        frame = r.choice(FRAMES[language])
    before, after = frame.replace("{{", "\0").replace("}}", "\1").split("{}")
    return (before.replace("\0", "{"), what, after.replace("\1", "}"), kind)


def make(r):
    language = r.choice(list(FRAMES))
    text, spans = "", []
    for _ in range(r.randint(1, 3)):
        if r.random() < 0.5:
            frame = r.choice(FRAMES[language])
            text += frame.replace("{}", negative(r))
        else:
            before, what, after, kind = piece(r, language)
            start = len((text + before).encode())
            spans.append([start, len(what.encode()), kind])
            text += before + what + after
        text += "" if language == "zh" and r.random() < 0.5 else r.choice([" ", "\n"])
    return {"text": text, "spans": spans, "language": language}


def texts(seed, count):
    r = random.Random(seed)
    return [make(r) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    for made in texts(options.seed, options.count):
        print(json.dumps(made, ensure_ascii=False))


if __name__ == "__main__":
    main()
