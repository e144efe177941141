#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/builtin/chunks.h"
#include "server/catalog/registration.h"
#include "server/coroutine/map.h"
#include "server/coroutine/utf8.h"

namespace corod::builtin {
namespace {

// The states of Python's csv module in its strict dialect, one character at a time.
class CsvReader {
 public:
  // REQUIRES: called first.
  void SetDialect(std::string_view delimiter, bool header) {
    delimiter_ = DecodeUtf8(delimiter).code_point;
    header_ = header;
    if (!header_ || names_) return;
    for (const Value& name : fields_) distinct_names_.insert(name.AsText());
  }

  // The records that become complete with `chunk`.
  List Read(const Value& chunk) {
    const ChunkDecoder::Piece piece = decoder_.Decode(chunk);
    for (std::string_view rest = piece.text; !rest.empty();) {
      const Utf8Character next = DecodeUtf8(rest);
      Take(next.code_point, rest.substr(0, next.size));
      rest.remove_prefix(next.size);
    }
    if (!piece.malformed.empty()) Refuse(here_, piece.malformed);
    return std::exchange(complete_, {});
  }

  // The record that has no line end, or null.
  Value Finish() {
    const std::string malformed = decoder_.AtEnd();
    if (!malformed.empty()) Refuse(here_, malformed);
    if (state_ == State::kQuoted) Refuse(field_at_, "the quoted field is not closed");
    if (state_ == State::kRecordStart) return Value();
    if (state_ == State::kFieldStart) field_at_ = here_;
    EndField();
    EndRecord();
    return complete_.empty() ? Value() : std::move(complete_.back());
  }

  // Between two chunks.
  Value Save() const {
    return List{decoder_.Save(),  static_cast<int>(state_),         here_.Save(),
                field_at_.Save(), after_carriage_return_,           field_,
                fields_,          names_ ? Value(*names_) : Value()};
  }
  static CsvReader Load(const Value& saved) {
    const List& fields = SavedFields(saved, 8);
    CsvReader reader;
    reader.decoder_ = ChunkDecoder::Load(fields[0]);
    const std::int64_t state = fields[1].AsInteger();
    if (state < 0 || state > static_cast<int>(State::kQuoteInQuoted)) throw py::ValueError("no state of the parser");
    reader.state_ = static_cast<State>(state);
    reader.here_ = Place::Load(fields[2]);
    reader.field_at_ = Place::Load(fields[3]);
    reader.after_carriage_return_ = fields[4].AsBoolean();
    reader.field_ = fields[5].AsText();
    reader.fields_ = Texts(fields[6]);
    if (!fields[7].is_null()) reader.names_ = Texts(fields[7]);
    return reader;
  }

 private:
  enum class State : std::uint8_t {  // saved as integers
    kRecordStart,
    kFieldStart,  // after a delimiter
    kField,
    kQuoted,
    kQuoteInQuoted,  // the field's end, or the first of two quotes that stand for one
  };

  static List Texts(const Value& list) {
    for (const Value& item : list.AsList()) static_cast<void>(item.AsText());
    return list.AsList();
  }

  [[noreturn]] void Refuse(Place place, const std::string& what) { RaiseMalformed(place, what, std::move(complete_)); }

  void Take(char32_t c, std::string_view bytes) {
    // The line feed of \r\n: the carriage return has ended the record.
    const bool ended = c == U'\n' && after_carriage_return_ && state_ == State::kRecordStart;
    if (!ended) TakeInState(c, bytes);
    Advance(c);
  }

  void TakeInState(char32_t c, std::string_view bytes) {
    switch (state_) {
      case State::kRecordStart:
        if (IsLineEnd(c)) {
          EndRecord();
          return;
        }
        [[fallthrough]];
      case State::kFieldStart:
        field_at_ = here_;
        if (c == U'"') {
          state_ = State::kQuoted;
          return;
        }
        [[fallthrough]];
      case State::kField:
        state_ = State::kField;
        if (!EndsField(c)) field_ += bytes;
        return;
      case State::kQuoted:
        if (c == U'"') {
          state_ = State::kQuoteInQuoted;
        } else {
          field_ += bytes;
        }
        return;
      case State::kQuoteInQuoted:
        if (c == U'"') {
          field_ += '"';
          state_ = State::kQuoted;
        } else if (!EndsField(c)) {
          Refuse(here_, "expected " + Describe(delimiter_) + " or the end of the line after the quoted field, not " +
                            Describe(c));
        }
        return;
    }
  }

  // Ends the field, and the record if `c` is a line end. False: `c` belongs to the field.
  bool EndsField(char32_t c) {
    if (IsLineEnd(c)) {
      EndField();
      EndRecord();
      return true;
    }
    if (c != delimiter_) return false;
    EndField();
    state_ = State::kFieldStart;
    if (names_ && fields_.size() == names_->size()) {
      Refuse({here_.line, here_.column + 1}, "more fields than the header (" + std::to_string(names_->size()) + ")");
    }
    return true;
  }

  void EndField() {
    if (header_ && !names_ && !distinct_names_.insert(field_).second) {
      Refuse(field_at_, "the header has this name twice");
    }
    fields_.emplace_back(std::exchange(field_, {}));
  }

  // An empty line is a record without fields; with a header it is none.
  void EndRecord() {
    state_ = State::kRecordStart;
    List fields = std::exchange(fields_, {});
    if (!header_) {
      complete_.emplace_back(std::move(fields));
    } else if (fields.empty()) {
      return;
    } else if (!names_) {
      names_ = std::move(fields);
      distinct_names_.clear();
    } else if (fields.size() < names_->size()) {
      Refuse(here_, "fewer fields (" + std::to_string(fields.size()) + ") than the header (" +
                        std::to_string(names_->size()) + ")");
    } else {
      Map record;
      for (std::size_t i = 0; i < fields.size(); ++i) record[(*names_)[i].AsText()] = std::move(fields[i]);
      complete_.emplace_back(std::move(record));
    }
  }

  void Advance(char32_t c) {
    if (!IsLineEnd(c)) {
      ++here_.column;
    } else if (c == U'\r' || !after_carriage_return_) {
      here_ = {here_.line + 1, 1};
    }
    after_carriage_return_ = c == U'\r';
  }

  static bool IsLineEnd(char32_t c) { return c == U'\n' || c == U'\r'; }

  char32_t delimiter_ = U',';
  bool header_ = false;
  ChunkDecoder decoder_;
  State state_ = State::kRecordStart;
  Place here_;      // of the character that comes next
  Place field_at_;  // where the field began
  bool after_carriage_return_ = false;
  std::string field_;
  List fields_;
  std::optional<List> names_;
  std::unordered_set<std::string> distinct_names_;  // while the header is read
  List complete_;                                   // empty between two chunks
};

bool IsDelimiter(const Value& value) {
  const std::string& text = value.AsText();
  if (text.empty() || text == "\"" || text == "\r" || text == "\n") return false;
  const Utf8Character first = DecodeUtf8(text);
  return first.valid && first.size == text.size();
}

Coroutine CsvParser(Kept<CsvReader> reader, std::string delimiter, bool header) {
  reader->SetDialect(delimiter, header);
  List records;
  while (true) {
    Value chunk;
    try {
      chunk = co_yield records;
    } catch (const py::GeneratorExit&) {
      co_return reader->Finish();
    }
    records = reader->Read(chunk);
  }
}

constexpr const char* kDocumentation = R"(
Parses CSV (RFC 4180) that arrives in chunks, which may be cut anywhere, as bytes also inside a character. A field in
quotes may hold delimiters, line ends and, doubled, quotes. A record ends in `\n`, `\r\n` or `\r`, outside of quotes.
A byte order mark at the very beginning is left out.

The records are those of Python's `csv.reader(..., strict=True)`: a quote inside a field that does not begin with one
is a quote like any other, and an empty line is a record without fields.

With `header`, the first record is not yielded: it holds the names of the fields, and every record after it is a map.
Empty lines are then skipped, as Python's `csv.DictReader` does. A record with fewer or more fields than the header is
malformed, and so is a header that has a name twice.

What becomes complete with one chunk has to fit into one reply: 1 MiB, unless the server is set up otherwise.

Close returns the record that has no line end yet, and null if there is none.

What is neither text nor bytes raises TypeError. Malformed input raises ValueError: what follows a closing quote and
is neither a delimiter nor a line end, a quoted field that is not closed at the end, what is not UTF-8. Its second
argument is a map with the `line`, the `column` and `parsed`, the records that the chunk held before that place.

```example
next                                   -> yields []
send "name,born\n\"Lovel"              -> yields [["name", "born"]]
send "ace, Ada\",1815\r\nTuring,19"    -> yields [["Lovelace, Ada", "1815"]]
close                                  -> returns ["Turing", "19"]
```

```example
create {"header": true, "delimiter": ";"}
next                                   -> yields []
send "name;born\nLovelace;18"          -> yields []
send "15\nTuring;1912\n"               -> yields [{"name": "Lovelace", "born": "1815"},
                                                  {"name": "Turing", "born": "1912"}]
send "Hopper\n"                        -> raises ValueError: line 4, column 7: fewer fields (1) than the header (2)
```
)";

}  // namespace

void AddCsvParser(Catalog& catalog) {
  catalog.Add(
      Native("csv_parser", 1, &CsvParser)
          .Takes("delimiter", "what stands between two fields", Optional(","),
                 MustBe("one character, neither a quote nor a line end", &IsDelimiter))
          .Takes("header", "whether the first record names the fields; the others are then maps", Optional(false))
          .NeverBlocks()
          .Summary("CSV in chunks to records")
          .Sends("chunks of text or bytes, cut anywhere; null is an empty one", SendsKind::kText)
          .Yields("list of records that became complete; each is a list of texts, with a header a map of texts")
          .Returns("the last record, if it has no line end; else null")
          .StopsWhen("the caller closes it (it then returns the rest), or what it is sent is malformed")
          .Document(kDocumentation));
}

}  // namespace corod::builtin
