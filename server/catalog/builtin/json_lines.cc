#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/builtin/chunks.h"
#include "server/catalog/builtin/json_document.h"
#include "server/catalog/registration.h"

namespace corod::builtin {
namespace {

class JsonLinesReader {
 public:
  // The values of the lines that become complete with `chunk`.
  List Read(const Value& chunk) {
    const ChunkDecoder::Piece piece = decoder_.Decode(chunk);
    std::string_view rest = piece.text;
    for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
      line_ += rest.substr(0, end);
      EndLine();
    }
    line_ += rest;
    if (!piece.malformed.empty()) {
      RaiseMalformed({lines_ + 1, CountCharacters(line_) + 1}, piece.malformed, std::move(values_));
    }
    return std::exchange(values_, {});
  }

  // A list of the value on the line that has no end, or null.
  Value Finish() {
    const std::string malformed = decoder_.AtEnd();
    if (!malformed.empty()) RaiseMalformed({lines_ + 1, CountCharacters(line_) + 1}, malformed, {});
    EndLine();
    return values_.empty() ? Value() : Value(std::move(values_));
  }

  // Between two chunks.
  Value Save() const { return List{decoder_.Save(), line_, lines_}; }
  static JsonLinesReader Load(const Value& saved) {
    const List& fields = SavedFields(saved, 3);
    JsonLinesReader reader;
    reader.decoder_ = ChunkDecoder::Load(fields[0]);
    reader.line_ = fields[1].AsText();
    reader.lines_ = fields[2].AsInteger();
    return reader;
  }

 private:
  void EndLine() {
    if (!IsBlankJson(line_)) {
      std::variant<Value, JsonError> document = ParseJson(line_);
      if (const auto* error = std::get_if<JsonError>(&document)) {
        const std::string_view before = std::string_view(line_).substr(0, error->offset);
        RaiseMalformed({lines_ + 1, CountCharacters(before) + 1}, error->what, std::move(values_));
      }
      values_.push_back(std::get<Value>(std::move(document)));
    }
    ++lines_;
    line_.clear();
  }

  ChunkDecoder decoder_;
  std::string line_;  // the one that has not ended
  std::int64_t lines_ = 0;
  List values_;  // empty between two chunks
};

Coroutine JsonLines(Kept<JsonLinesReader> reader) {
  List values;
  while (true) {
    Value chunk;
    try {
      chunk = co_yield values;
    } catch (const py::GeneratorExit&) {
      co_return reader->Finish();
    }
    values = reader->Read(chunk);
  }
}

constexpr const char* kDocumentation = R"(
Parses JSON lines that arrive in chunks: one JSON document a line, cut anywhere, as bytes also inside a character. A
line ends in `\n`; a `\r` before it is white space, as everywhere in JSON. Blank lines are skipped. A byte order mark
at the very beginning is left out.

`10` is an integer and `10.0` a number. An integer beyond 64 bits becomes the number nearest to it. Of two equal names
in an object the later one's value counts. A document may nest 22 deep, so that the list that holds it and the error
that reports it stay within the 24 levels of a value.

What becomes complete with one chunk has to fit into one reply: 1 MiB, unless the server is set up otherwise.

Close returns a list of the last line's value if that line has no end yet, and null if there is none (so that a last
line `null` can be told from no line).

What is neither text nor bytes raises TypeError. Malformed input raises ValueError: also NaN and Infinity, numbers out
of the range of a double, unpaired surrogates, and what is not UTF-8. The message says the line, and the column where
the offending token begins; the second argument is a map with the `line`, the `column` and `parsed`, the values that
the chunk held before that line.

```example
next                             -> yields []
send "{\"a\": 1}\n[2, "          -> yields [{"a": 1}]
send "2.0]\n\nnull\n"            -> yields [[2, 2.0], null]
send "\"left o"                  -> yields []
send "ver\""                     -> yields []
close                            -> returns ["left over"]
```

```example
next                             -> yields []
send "1\n{\"a\": nul}\n"         -> raises ValueError: line 2, column 7: expected a value, not 'nul'
```
)";

}  // namespace

void AddJsonLines(Catalog& catalog) {
  catalog.Add(Native("json_lines", 1, &JsonLines)
                  .Summary("JSON lines in chunks to values")
                  .Sends("chunks of text or bytes, cut anywhere; null is an empty one", SendsKind::kText)
                  .Yields("list of the values whose lines became complete")
                  .Returns("list of one value: the last line's, if it has no line end; else null")
                  .StopsWhen("the caller closes it (it then returns the rest), or what it is sent is malformed")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
