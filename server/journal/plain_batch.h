#ifndef COROD_SERVER_JOURNAL_PLAIN_BATCH_H_
#define COROD_SERVER_JOURNAL_PLAIN_BATCH_H_

#include <cstddef>
#include <optional>
#include <string_view>

#include "server/journal/record.h"

// A corod.journal.v1.Batch in protobuf's wire format, written and read without protobuf's objects, if it is plain: of
// nothing but Sends of null, booleans, integers, numbers, texts and blobs, and primings.
namespace corod::plain_batch {

// nullopt: it is not plain.
std::optional<std::size_t> SizeOf(const Batch& batch);
// Writes SizeOf(batch) bytes: those that protobuf would write. REQUIRES: it is plain.
void Write(const Batch& batch, char* to);
// nullopt: it is not plain, not as Write writes it, or damaged; protobuf is to parse it.
std::optional<Batch> Read(std::string_view bytes);

}  // namespace corod::plain_batch

#endif  // COROD_SERVER_JOURNAL_PLAIN_BATCH_H_
