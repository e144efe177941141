// corod with its journal on a faulty file system, as the environment says:
//   COROD_FAULT_SEED          chooses what is chosen at random
//   COROD_POWER_CUT           1: the end of the process is a loss of power
//   COROD_FAILURE_PROBABILITY of each append and sync
//   COROD_SEGMENT_BYTES       of a segment of the journal's log; 0: as usual
//   COROD_DISK_ORDERS         a FIFO with lines: "full" or "empty". The disk is so from then on; the first line is
//                             waited for

#include <signal.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "server/catalog/catalog.h"
#include "server/server.h"
#include "tests/faulty_fs/faulty_file_system.h"

namespace corod {
namespace {

std::string Setting(const char* name, const char* otherwise) {
  const char* set = std::getenv(name);
  return set ? set : otherwise;
}

// False: there is no more.
bool FollowNext(std::istream& orders, FaultyFileSystem& disk) {
  std::string order;
  if (!std::getline(orders, order)) return false;
  if (order == "full") {
    disk.FailWrites();
  } else {
    disk.AllowWrites();
  }
  return true;
}

// Runs until the process ends or the FIFO is gone.
void Follow(std::ifstream orders, const std::string& path, FaultyFileSystem& disk) {
  while (orders.is_open()) {
    while (FollowNext(orders, disk)) {
    }
    orders = std::ifstream(path);  // when somebody writes again
  }
}

int Run(int argc, char** argv) {
  FaultyFileSystem::Options options;
  options.seed = std::stoull(Setting("COROD_FAULT_SEED", "0"));
  options.power_cut = Setting("COROD_POWER_CUT", "0") == "1";
  const auto disk = std::make_shared<FaultyFileSystem>(rocksdb::FileSystem::Default(), options);
  // From the first writes on a directory cannot even be opened: that is another test's.
  disk->SetFailureProbability(std::stod(Setting("COROD_FAILURE_PROBABILITY", "0")));
  if (const std::string path = Setting("COROD_DISK_ORDERS", ""); !path.empty()) {
    std::ifstream orders(path);
    FollowNext(orders, *disk);
    // Its thread takes no signals; the server's are for others.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    std::thread([orders = std::move(orders), path, disk]() mutable {
      Follow(std::move(orders), path, *disk);
    }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  Catalog catalog;
  AddBuiltinCoroutines(catalog);
  return RunServer(argc, argv, catalog,
                   {.file_system = disk, .segment_bytes = std::stoull(Setting("COROD_SEGMENT_BYTES", "0"))});
}

}  // namespace
}  // namespace corod

int main(int argc, char** argv) { return corod::Run(argc, argv); }
