#include "server/catalog/builtin/builtin.h"

#include "server/coroutine/exception.h"

namespace corod {

void AddBuiltinCoroutines(Catalog& catalog) {
  builtin::AddAverager(catalog);
  builtin::AddBatch(catalog);
  builtin::AddCsvParser(catalog);
  builtin::AddJsonLines(catalog);
  builtin::AddLineSplitter(catalog);
  builtin::AddPipeline(catalog);
  builtin::AddRollingStats(catalog);
  builtin::AddSelect(catalog);
  builtin::AddSlidingWindow(catalog);
  builtin::AddSmtpReceiver(catalog);
  builtin::AddTokenCounter(catalog);
}

namespace builtin {

std::string ClassNameOf(const Value& value) {
  if (value.kind() != Value::Kind::kException) return std::string(value.TypeName());
  const std::string type = value.AsException().type();
  return type.substr(type.rfind('.') + 1);
}

}  // namespace builtin
}  // namespace corod
