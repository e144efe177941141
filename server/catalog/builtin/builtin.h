#ifndef COROD_SERVER_CATALOG_BUILTIN_BUILTIN_H_
#define COROD_SERVER_CATALOG_BUILTIN_BUILTIN_H_

#include <string>

#include "server/catalog/catalog.h"
#include "server/coroutine/value.h"

// The coroutines that corod comes with. Each has a file of its own, whose one way in is the function that registers it;
// what it does and an example are in its documentation there.
namespace corod::builtin {

void AddAverager(Catalog& catalog);
void AddBatch(Catalog& catalog);
void AddCsvParser(Catalog& catalog);
void AddJsonLines(Catalog& catalog);
void AddLineSplitter(Catalog& catalog);
void AddPipeline(Catalog& catalog);
void AddRollingStats(Catalog& catalog);
void AddSelect(Catalog& catalog);
void AddSlidingWindow(Catalog& catalog);
void AddSmtpReceiver(Catalog& catalog);
void AddTokenCounter(Catalog& catalog);

// type(value).__name__; of an exception its class.
std::string ClassNameOf(const Value& value);

}  // namespace corod::builtin

#endif  // COROD_SERVER_CATALOG_BUILTIN_BUILTIN_H_
