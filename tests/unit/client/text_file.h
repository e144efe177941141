#ifndef COROD_TESTS_UNIT_CLIENT_TEXT_FILE_H_
#define COROD_TESTS_UNIT_CLIENT_TEXT_FILE_H_

#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <string>

namespace corod::cli {

// A file of that name, in a directory of its own, while this lives.
class TextFile {
 public:
  TextFile(const std::string& name, const std::string& text) {
    if (!mkdtemp(directory_.data())) throw std::runtime_error("no directory");
    path_ = directory_ + "/" + name;
    std::ofstream(path_) << text;
  }
  ~TextFile() {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string directory_ = "/tmp/corod-XXXXXX";
  std::string path_;
};

}  // namespace corod::cli

#endif  // COROD_TESTS_UNIT_CLIENT_TEXT_FILE_H_
