#ifndef COROD_SERVER_SERVER_H_
#define COROD_SERVER_SERVER_H_

#include <cstddef>
#include <memory>

#include "server/base/clock.h"
#include "server/catalog/catalog.h"

namespace rocksdb {
class FileSystem;
}  // namespace rocksdb

namespace corod {

// What the flags cannot say.
struct ServerHooks {
  std::shared_ptr<rocksdb::FileSystem> file_system = nullptr;  // of the journal; null: the machine's
  std::size_t segment_bytes = 0;                               // of the journal's log; 0: as usual
  const Clock* clock = nullptr;                                // of the sessions; null: the machine's
};

// corod as a whole: reads the flags, adds the plugins' coroutines to `catalog`, serves what is in it, and returns the
// exit status when SIGTERM or SIGINT has come and everything has been closed. Once per process.
int RunServer(int argc, const char* const* argv, Catalog& catalog, ServerHooks hooks = {});

}  // namespace corod

#endif  // COROD_SERVER_SERVER_H_
