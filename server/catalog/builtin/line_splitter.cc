#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "server/catalog/builtin/builtin.h"
#include "server/catalog/builtin/chunks.h"
#include "server/catalog/registration.h"

namespace corod::builtin {
namespace {

class LineReader {
 public:
  void KeepEnds(bool keep_ends) { keep_ends_ = keep_ends; }

  // The lines that become complete with `chunk`.
  List Read(const Value& chunk) {
    const ChunkDecoder::Piece piece = decoder_.Decode(chunk);
    Split(piece.text);
    if (!piece.malformed.empty()) {
      if (EndsInCarriageReturn()) EndLine();  // what follows it is no line feed
      RaiseMalformed(here(), piece.malformed, std::move(complete_));
    }
    return std::exchange(complete_, {});
  }

  // The line that has no end, or null. A carriage return at the very end is one.
  Value Finish() {
    const std::string malformed = decoder_.AtEnd();
    if (!malformed.empty()) RaiseMalformed(here(), malformed, {});
    if (line_.empty()) return Value();
    EndLine();
    return std::move(complete_.back());
  }

  // Between two chunks.
  Value Save() const { return List{decoder_.Save(), line_, lines_}; }
  static LineReader Load(const Value& saved) {
    const List& fields = SavedFields(saved, 3);
    LineReader reader;
    reader.decoder_ = ChunkDecoder::Load(fields[0]);
    reader.line_ = fields[1].AsText();
    reader.lines_ = fields[2].AsInteger();
    return reader;
  }

 private:
  Place here() const { return {lines_ + 1, CountCharacters(line_) + 1}; }
  bool EndsInCarriageReturn() const { return line_.ends_with('\r'); }

  // A carriage return at the end waits in line_: a line feed that follows belongs to it.
  void Split(std::string_view text) {
    while (!text.empty()) {
      if (EndsInCarriageReturn()) {
        if (text[0] == '\n') TakeFrom(text, 1);
        EndLine();
        continue;
      }
      const std::size_t end = text.find_first_of("\r\n");
      if (end == std::string_view::npos) {
        TakeFrom(text, text.size());
      } else {
        const bool line_feed = text[end] == '\n';
        TakeFrom(text, end + 1);
        if (line_feed) EndLine();
      }
    }
  }

  void TakeFrom(std::string_view& text, std::size_t size) {
    line_ += text.substr(0, size);
    text.remove_prefix(size);
  }

  void EndLine() {
    std::string line = std::exchange(line_, {});
    if (!keep_ends_) {
      if (line.ends_with('\n')) line.pop_back();
      if (line.ends_with('\r')) line.pop_back();
    }
    complete_.emplace_back(std::move(line));
    ++lines_;
  }

  bool keep_ends_ = false;
  ChunkDecoder decoder_;
  std::string line_;  // the one that has not ended
  std::int64_t lines_ = 0;
  List complete_;  // empty between two chunks
};

Coroutine LineSplitter(Kept<LineReader> reader, bool keep_ends) {
  reader->KeepEnds(keep_ends);
  List lines;
  while (true) {
    Value chunk;
    try {
      chunk = co_yield lines;
    } catch (const py::GeneratorExit&) {
      co_return reader->Finish();
    }
    lines = reader->Read(chunk);
  }
}

constexpr const char* kDocumentation = R"(
Splits a text that arrives in chunks into lines. A line ends in `\n`, `\r\n` or `\r`, as in Python's universal
newlines. The chunks may be cut anywhere: inside a line, between `\r` and `\n`, and, as bytes, inside a character. A
`\r` at the end of a chunk ends its line only with the next one, since a `\n` may follow.

A byte order mark at the very beginning is left out. What becomes complete with one chunk has to fit into one reply: 1
MiB, unless the server is set up otherwise. Close returns the line that has no line end yet, and null if there is
none.

What is neither text nor bytes raises TypeError. What is not UTF-8 raises ValueError; its second argument is a map
with the `line`, the `column` and `parsed`, the lines that the chunk held before that place.

```example
next                       -> yields []
send "to be,\nor n"        -> yields ["to be,"]
send "ot to be:\r"         -> yields []
send "\nthat is"           -> yields ["or not to be:"]
close                      -> returns "that is"
```
)";

}  // namespace

void AddLineSplitter(Catalog& catalog) {
  catalog.Add(Native("line_splitter", 1, &LineSplitter)
                  .Takes("keep_ends", "whether a line is yielded with its line end, as it was sent", Optional(false))
                  .Summary("text in chunks to lines")
                  .Sends("chunks of text or bytes, cut anywhere; null is an empty one", SendsKind::kText)
                  .Yields("list of texts: the lines that became complete")
                  .Returns("text: the last line, if it has no line end; else null")
                  .StopsWhen("the caller closes it (it then returns the rest), or what it is sent is not UTF-8")
                  .NeverBlocks()
                  .Document(kDocumentation));
}

}  // namespace corod::builtin
