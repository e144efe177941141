import re

MAX_RECIPIENTS = 100
MAX_COMMAND = 510
MAX_MAIL_COMMAND = 553
MAX_BYTES = 800_000
BYTES_PER_MESSAGE = 64
BYTES_PER_RECIPIENT = 8

ATOM = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+"
LOCAL_PART = rf'(?:{ATOM}(?:\.{ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*")'
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
NAME = rf"{LABEL}(?:\.{LABEL})*"
DOMAIN = rf"(?:{NAME}|\[[!-=?-Z^-~]+\])"
DOMAIN_ALONE = re.compile(DOMAIN)
PATH = re.compile(rf"<(?:@{NAME}(?:,@{NAME})*:)?(?:({LOCAL_PART})@({DOMAIN})|(?i:postmaster))>")
MAX_LOCAL_PART = 64
MAX_DOMAIN = 255

NO_HELLO, READY, MAIL, RECIPIENTS, DATA = range(5)
NOT_IMPLEMENTED = {"AUTH", "BDAT", "ETRN", "EXPN", "SAML", "SEND", "SOML", "STARTTLS", "TURN"}


def size_of(text):
    return len(text.encode())


def upper(text):
    return text.encode().upper().decode()  # ASCII alone


def parse_path(text):
    """The address and the parameters behind it, or None."""
    text = text.lstrip(" ")
    if text.startswith("<>"):
        address, rest = "", text[2:]
    else:
        match = PATH.match(text)
        if not match:
            return None
        hops, _, _ = match[0].partition(":") if match[0].startswith("<@") else ("", "", "")
        domains = [hop.lstrip("<@") for hop in hops.split(",")] + [match[2] or ""]
        if len(match[1] or "") > MAX_LOCAL_PART or any(len(domain) > MAX_DOMAIN for domain in domains):
            return None
        address = match[0][len(hops) + 1 if hops else 1:-1]
        rest = text[match.end():]
    if rest and rest[0] != " ":
        return None
    return address, [word for word in rest.split(" ") if word]


class Dialogue:
    def __init__(self, hostname):
        self.hostname = hostname
        self.extended = False
        self.has_quit = False
        self.messages = []
        self.bytes = 0
        self.reset(NO_HELLO)

    def reset(self, state):
        self.state = state
        self.sender = ""
        self.to = []
        self.data = []
        self.data_bytes = 0
        self.broken_line = False

    def answer(self, line):
        line = line.removesuffix("\r\n") if line.endswith("\r\n") else line.removesuffix("\n")
        if self.state == DATA:
            return self.end_message() if line == "." else self.take_text(line)
        return self.execute(line)

    def execute(self, line):
        verb, _, argument = line.partition(" ")
        verb = upper(verb)
        if size_of(line) > (MAX_MAIL_COMMAND if verb == "MAIL" else MAX_COMMAND):
            return "500 5.5.2 line too long"
        if any(c < " " or c == "\x7f" for c in line):
            return "500 5.5.2 control character in the line"
        if verb in ("HELO", "EHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT", "VRFY", "HELP"):
            return getattr(self, "do_" + verb.lower())(argument.strip(" "))
        if verb in NOT_IMPLEMENTED:
            return "502 5.5.1 command not implemented"
        return "500 5.5.2 command not recognized"

    def do_helo(self, argument):
        return self.hello(argument, f"250 {self.hostname}", False)

    def do_ehlo(self, argument):
        return self.hello(argument, f"250-{self.hostname}\r\n250-SIZE {MAX_BYTES}\r\n250-8BITMIME\r\n"
                                    "250-ENHANCEDSTATUSCODES\r\n250 HELP", True)

    def hello(self, argument, reply, extended):
        if not DOMAIN_ALONE.fullmatch(argument) or len(argument) > MAX_DOMAIN:
            return "501 5.5.4 the argument must be a domain or an address literal"
        self.extended = extended
        self.reset(READY)
        return reply

    def do_mail(self, argument):
        if self.state == NO_HELLO:
            return "503 5.5.1 bad sequence of commands: HELO or EHLO comes first"
        if self.state != READY:
            return "503 5.5.1 bad sequence of commands: the sender is given already"
        if upper(argument[:5]) != "FROM:":
            return "501 5.5.4 syntax: MAIL FROM:<address>"
        path = parse_path(argument[5:])
        if not path or (path[0] and "@" not in path[0]):
            return "501 5.1.7 malformed sender address"
        for parameter in path[1]:
            refused = self.refusal_of(parameter)
            if refused:
                return refused
        self.sender = path[0]
        self.state = MAIL
        return "250 2.1.0 sender accepted"

    def refusal_of(self, parameter):
        name, _, value = parameter.partition("=")
        name = upper(name)
        if self.extended and name == "BODY":
            return None if upper(value) in ("7BIT", "8BITMIME") else "501 5.5.4 BODY must be 7BIT or 8BITMIME"
        if self.extended and name == "SIZE":
            if not re.fullmatch("[0-9]{1,20}", value):
                return "501 5.5.4 SIZE must be a number of bytes"
            return "552 5.3.4 message too big" if int(value) > MAX_BYTES else None
        return "555 5.5.4 parameter not recognized"

    def do_rcpt(self, argument):
        if self.state not in (MAIL, RECIPIENTS):
            return "503 5.5.1 bad sequence of commands: MAIL comes first"
        if upper(argument[:3]) != "TO:":
            return "501 5.5.4 syntax: RCPT TO:<address>"
        path = parse_path(argument[3:])
        if not path or not path[0]:
            return "501 5.1.3 malformed recipient address"
        if path[1]:
            return "555 5.5.4 parameter not recognized"
        if len(self.to) == MAX_RECIPIENTS:
            return "452 4.5.3 too many recipients"
        self.to.append(path[0])
        self.state = RECIPIENTS
        return "250 2.1.5 recipient accepted"

    def do_data(self, argument):
        if argument:
            return "501 5.5.4 DATA takes no argument"
        if self.state != RECIPIENTS:
            return "503 5.5.1 bad sequence of commands: RCPT comes first"
        self.state = DATA
        return "354 end the message with a line that holds a dot alone"

    def do_rset(self, argument):
        if argument:
            return "501 5.5.4 RSET takes no argument"
        self.reset(NO_HELLO if self.state == NO_HELLO else READY)
        return "250 2.0.0 ok"

    def do_noop(self, argument):
        return "250 2.0.0 ok"

    def do_quit(self, argument):
        if argument:
            return "501 5.5.4 QUIT takes no argument"
        self.has_quit = True
        return f"221 {self.hostname} closing connection"

    def do_vrfy(self, argument):
        return "252 2.5.0 cannot verify, but will accept a message" if argument else "501 5.5.4 syntax: VRFY address"

    def do_help(self, argument):
        return "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP"

    def take_text(self, line):
        if "\r" in line or "\n" in line:
            self.broken_line = True
        if self.data_bytes <= MAX_BYTES:
            line = line.removeprefix(".") + "\r\n"
            self.data.append(line)
            self.data_bytes += size_of(line)
        return None

    def end_message(self):
        size = self.data_bytes + size_of(self.sender) + BYTES_PER_MESSAGE
        size += sum(size_of(recipient) + BYTES_PER_RECIPIENT for recipient in self.to)
        if self.broken_line:
            reply = "554 5.6.0 a line of the message holds a line break"
        elif size > MAX_BYTES:
            reply = "552 5.3.4 message too big"
        elif self.bytes + size > MAX_BYTES:
            reply = "452 4.3.1 no room for another message in this session"
        else:
            self.bytes += size
            self.messages.append({"from": self.sender, "to": self.to, "data": "".join(self.data)})
            reply = f"250 2.0.0 message {len(self.messages)} accepted"
        self.reset(READY)
        return reply


def smtp_receiver(hostname="localhost"):
    dialogue = Dialogue(hostname)
    reply = f"220 {hostname} SMTP"
    while not dialogue.has_quit:
        try:
            line = yield reply
        except Exception:
            return {"reply": f"421 {hostname} closing transmission channel", "messages": dialogue.messages}
        if not isinstance(line, str):
            raise TypeError(f"line must be str, not {type(line).__name__}")
        reply = dialogue.answer(line)
    return {"reply": reply, "messages": dialogue.messages}
