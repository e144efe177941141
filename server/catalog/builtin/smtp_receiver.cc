#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/builtin/smtp_address.h"
#include "server/catalog/registration.h"
#include "server/coroutine/map.h"

namespace corod::builtin {
namespace {

constexpr std::size_t kMaxRecipients = 100;
constexpr std::size_t kMaxCommand = 510;      // and the line end: 512 (RFC 5321, 4.5.3.1.4)
constexpr std::size_t kMaxMailCommand = 553;  // SIZE and BODY add 26 and 17
// All messages of a session together: they have to fit into the reply to QUIT.
constexpr std::size_t kMaxBytes = 800'000;
constexpr std::size_t kBytesPerMessage = 64;
constexpr std::size_t kBytesPerRecipient = 8;

std::string Upper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return upper;
}

bool HoldsControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string_view Trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

// The server's side of one SMTP connection, without the connection.
class Dialogue {
 public:
  void SetHostname(std::string hostname) { hostname_ = std::move(hostname); }

  // The reply to a line, with or without its line end; null inside a message.
  Value Answer(std::string_view line) {
    if (line.ends_with('\n')) {
      line.remove_suffix(line.ends_with("\r\n") ? 2 : 1);
    }
    if (state_ == State::kData) return line == "." ? Value(EndMessage()) : TakeText(line);
    return Execute(line);
  }

  bool has_quit() const { return has_quit_; }
  List TakeMessages() { return std::move(messages_); }

  // Before QUIT.
  Value Save() const {
    return List{static_cast<int>(state_), extended_, from_, to_, data_, broken_line_, messages_, bytes_};
  }
  static Dialogue Load(const Value& saved) {
    const List& fields = SavedFields(saved, 8);
    const std::int64_t state = fields[0].AsInteger();
    if (state < 0 || state > static_cast<int>(State::kData)) throw py::ValueError("no state of a dialogue");
    Dialogue dialogue;
    dialogue.state_ = static_cast<State>(state);
    dialogue.extended_ = fields[1].AsBoolean();
    dialogue.from_ = fields[2].AsText();
    for (const Value& recipient : fields[3].AsList()) dialogue.AddRecipient(recipient.AsText());
    dialogue.data_ = fields[4].AsText();
    dialogue.broken_line_ = fields[5].AsBoolean();
    dialogue.messages_ = fields[6].AsList();
    dialogue.bytes_ = static_cast<std::size_t>(fields[7].AsInteger());
    return dialogue;
  }

 private:
  enum class State : std::uint8_t { kNoHello, kReady, kMail, kRecipients, kData };  // saved as integers

  struct Command {
    std::string_view verb;
    std::string (Dialogue::*execute)(std::string_view argument);
  };

  std::string Execute(std::string_view line) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string verb = Upper(line.substr(0, end));
    if (line.size() > (verb == "MAIL" ? kMaxMailCommand : kMaxCommand)) return "500 5.5.2 line too long";
    if (HoldsControl(line)) return "500 5.5.2 control character in the line";
    static constexpr auto kCommands = std::to_array<Command>({
        {"HELO", &Dialogue::Helo},
        {"EHLO", &Dialogue::Ehlo},
        {"MAIL", &Dialogue::Mail},
        {"RCPT", &Dialogue::Rcpt},
        {"DATA", &Dialogue::Data},
        {"RSET", &Dialogue::Rset},
        {"NOOP", &Dialogue::Noop},
        {"QUIT", &Dialogue::Quit},
        {"VRFY", &Dialogue::Vrfy},
        {"HELP", &Dialogue::Help},
    });
    for (const Command& command : kCommands) {
      if (command.verb == verb) return (this->*command.execute)(Trimmed(line.substr(end)));
    }
    static constexpr auto kNotImplemented =
        std::to_array<std::string_view>({"AUTH", "BDAT", "ETRN", "EXPN", "SAML", "SEND", "SOML", "STARTTLS", "TURN"});
    if (std::find(kNotImplemented.begin(), kNotImplemented.end(), verb) != kNotImplemented.end()) {
      return "502 5.5.1 command not implemented";
    }
    return "500 5.5.2 command not recognized";
  }

  std::string Helo(std::string_view argument) { return Hello(argument, "250 " + hostname_, false); }

  std::string Ehlo(std::string_view argument) {
    return Hello(argument,
                 "250-" + hostname_ + "\r\n250-SIZE " + std::to_string(kMaxBytes) +
                     "\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 HELP",
                 true);
  }

  std::string Hello(std::string_view argument, std::string reply, bool extended) {
    if (!IsSmtpDomain(argument)) return "501 5.5.4 the argument must be a domain or an address literal";
    extended_ = extended;
    Reset(State::kReady);
    return reply;
  }

  std::string Mail(std::string_view argument) {
    if (state_ == State::kNoHello) return "503 5.5.1 bad sequence of commands: HELO or EHLO comes first";
    if (state_ != State::kReady) return "503 5.5.1 bad sequence of commands: the sender is given already";
    if (Upper(argument.substr(0, 5)) != "FROM:") return "501 5.5.4 syntax: MAIL FROM:<address>";
    const std::optional<SmtpPath> path = ParseSmtpPath(argument.substr(5));
    if (!path || (!path->address.empty() && path->address.find('@') == std::string::npos)) {
      return "501 5.1.7 malformed sender address";
    }
    for (const std::string& parameter : path->parameters) {
      std::string refused = RefusalOf(parameter);
      if (!refused.empty()) return refused;
    }
    from_ = path->address;
    state_ = State::kMail;
    return "250 2.1.0 sender accepted";
  }

  // What is wrong with a parameter of MAIL; empty: nothing.
  std::string RefusalOf(std::string_view parameter) const {
    const std::size_t equals = parameter.find('=');
    const std::string name = Upper(parameter.substr(0, equals));
    const std::string_view value = equals == std::string_view::npos ? "" : parameter.substr(equals + 1);
    if (extended_ && name == "BODY") {
      const std::string body = Upper(value);
      return body == "7BIT" || body == "8BITMIME" ? "" : "501 5.5.4 BODY must be 7BIT or 8BITMIME";
    }
    if (extended_ && name == "SIZE") {
      const bool digits = std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (value.empty() || value.size() > 20 || !digits) return "501 5.5.4 SIZE must be a number of bytes";
      std::uint64_t size = 0;
      const auto read = std::from_chars(value.data(), value.data() + value.size(), size);
      return read.ec != std::errc() || size > kMaxBytes ? "552 5.3.4 message too big" : "";
    }
    return "555 5.5.4 parameter not recognized";
  }

  std::string Rcpt(std::string_view argument) {
    if (state_ != State::kMail && state_ != State::kRecipients) {
      return "503 5.5.1 bad sequence of commands: MAIL comes first";
    }
    if (Upper(argument.substr(0, 3)) != "TO:") return "501 5.5.4 syntax: RCPT TO:<address>";
    const std::optional<SmtpPath> path = ParseSmtpPath(argument.substr(3));
    if (!path || path->address.empty()) return "501 5.1.3 malformed recipient address";
    if (!path->parameters.empty()) return "555 5.5.4 parameter not recognized";
    if (to_.size() == kMaxRecipients) return "452 4.5.3 too many recipients";
    AddRecipient(path->address);
    state_ = State::kRecipients;
    return "250 2.1.5 recipient accepted";
  }

  void AddRecipient(const std::string& address) {
    to_.emplace_back(address);
    address_bytes_ += address.size() + kBytesPerRecipient;
  }

  std::string Data(std::string_view argument) {
    if (!argument.empty()) return "501 5.5.4 DATA takes no argument";
    if (state_ != State::kRecipients) return "503 5.5.1 bad sequence of commands: RCPT comes first";
    state_ = State::kData;
    return "354 end the message with a line that holds a dot alone";
  }

  std::string Rset(std::string_view argument) {
    if (!argument.empty()) return "501 5.5.4 RSET takes no argument";
    Reset(state_ == State::kNoHello ? State::kNoHello : State::kReady);
    return "250 2.0.0 ok";
  }

  // The argument means nothing (4.1.1.9).
  std::string Noop(std::string_view) { return "250 2.0.0 ok"; }

  std::string Quit(std::string_view argument) {
    if (!argument.empty()) return "501 5.5.4 QUIT takes no argument";
    has_quit_ = true;
    return "221 " + hostname_ + " closing connection";
  }

  std::string Vrfy(std::string_view argument) {
    if (argument.empty()) return "501 5.5.4 syntax: VRFY address";
    return "252 2.5.0 cannot verify, but will accept a message";
  }

  std::string Help(std::string_view) { return "214 2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP"; }

  Value TakeText(std::string_view line) {
    if (line.find_first_of("\r\n") != std::string_view::npos) broken_line_ = true;
    if (line.starts_with('.')) line.remove_prefix(1);
    if (data_.size() <= kMaxBytes) data_.append(line).append("\r\n");
    return Value();
  }

  std::string EndMessage() {
    const std::size_t bytes = data_.size() + from_.size() + address_bytes_ + kBytesPerMessage;
    std::string reply;
    if (broken_line_) {
      // Taken as several lines it could hold the end of the message, and commands after it.
      reply = "554 5.6.0 a line of the message holds a line break";
    } else if (bytes > kMaxBytes) {
      reply = "552 5.3.4 message too big";
    } else if (bytes_ + bytes > kMaxBytes) {
      reply = "452 4.3.1 no room for another message in this session";
    } else {
      bytes_ += bytes;
      messages_.emplace_back(Map{{"from", std::move(from_)}, {"to", std::move(to_)}, {"data", std::move(data_)}});
      reply = "250 2.0.0 message " + std::to_string(messages_.size()) + " accepted";
    }
    Reset(State::kReady);
    return reply;
  }

  void Reset(State state) {
    state_ = state;
    from_.clear();
    to_.clear();
    address_bytes_ = 0;
    data_ = std::string();
    broken_line_ = false;
  }

  std::string hostname_;
  State state_ = State::kNoHello;
  bool extended_ = false;  // EHLO, not HELO
  bool has_quit_ = false;
  std::string from_;
  List to_;
  std::size_t address_bytes_ = 0;  // of to_
  std::string data_;
  bool broken_line_ = false;
  List messages_;
  std::size_t bytes_ = 0;  // of messages_
};

Coroutine SmtpReceiver(Kept<Dialogue> dialogue, std::string hostname) {
  dialogue->SetHostname(hostname);
  Value reply = "220 " + hostname + " SMTP";
  while (!dialogue->has_quit()) {
    Value line;
    try {
      line = co_yield reply;
    } catch (const py::Exception&) {
      const Value last("421 " + hostname + " closing transmission channel");
      co_return Map{{"reply", last}, {"messages", dialogue->TakeMessages()}};
    }
    if (line.kind() != Value::Kind::kText) throw py::TypeError("line must be str, not " + ClassNameOf(line));
    reply = dialogue->Answer(line.AsText());
  }
  co_return Map{{"reply", reply}, {"messages", dialogue->TakeMessages()}};
}

bool IsHostname(const Value& value) { return IsSmtpDomain(value.AsText()); }

constexpr const char* kDocumentation = R"(
Speaks the server's side of SMTP (RFC 5321): first it yields its greeting, then it takes the client's lines one by one
and yields the reply to each. A line is sent with or without its line end.

- **Commands**, in any case: HELO, EHLO, MAIL, RCPT, DATA, RSET, NOOP, QUIT, VRFY, HELP. EHLO offers SIZE and
  8BITMIME.
- **Messages** end with a line that holds a dot alone; a line that begins with a dot has one dot more than is meant.
  The lines of `data` end in `\r\n`.
- **Refused** with SMTP's reply, and the dialogue goes on: what is unknown (500, 502), malformed (501), out of order
  (503), a parameter that is not known (555), a line of more than 510 bytes (500), a recipient after the hundredth
  (452), a message whose lines hold line breaks (554), and messages of more than 800,000 bytes, alone (552) or
  together (452).
- **The end:** QUIT returns the last reply and all messages accepted. An error thrown in, which stands for a
  connection that is lost or shut down, returns the same with reply 421; a message that has not ended is not among
  them. Close returns null, and the messages are gone.

A line that is no text raises TypeError.

```example
create {"hostname": "mx.example"}
next                                 -> yields "220 mx.example SMTP"
send "HELO client.example"           -> yields "250 mx.example"
send "DATA"                          -> yields "503 5.5.1 bad sequence of commands: RCPT comes first"
send "MAIL FROM:<ann@example.org>"   -> yields "250 2.1.0 sender accepted"
send "rcpt to:<bob@example.org>"     -> yields "250 2.1.5 recipient accepted"
send "DATA"                          -> yields "354 end the message with a line that holds a dot alone"
send "Subject: dots"                 -> yields null
send ""                              -> yields null
send "..."                           -> yields null
send "."                             -> yields "250 2.0.0 message 1 accepted"
send "QUIT"                          -> returns {"reply": "221 mx.example closing connection", "messages": [
                                          {"from": "ann@example.org", "to": ["bob@example.org"],
                                           "data": "Subject: dots\r\n\r\n..\r\n"}]}
```

```example
next                                 -> yields "220 localhost SMTP"
throw ConnectionError                -> returns {"reply": "421 localhost closing transmission channel", "messages": []}
```
)";

}  // namespace

void AddSmtpReceiver(Catalog& catalog) {
  catalog.Add(
      Native("smtp_receiver", 1, &SmtpReceiver)
          .Takes("hostname", "the name under which it greets", Optional("localhost"),
                 MustBe("a domain or an address literal", &IsHostname))
          .NeverBlocks()
          .Summary("the server's side of an SMTP dialogue")
          .Sends("text: the client's next line", SendsKind::kText)
          .Yields("text: the reply, lines of which are separated by \\r\\n; null where SMTP has none, inside a message")
          .Returns("map: the last reply, and the messages, each a map of from, to (a list) and data")
          .StopsWhen("it is sent QUIT, or any error is thrown into it; when closed it returns null")
          .Document(kDocumentation));
}

}  // namespace corod::builtin
