#ifndef COROD_TESTS_UNIT_BASE_TEMPORARY_FILES_H_
#define COROD_TESTS_UNIT_BASE_TEMPORARY_FILES_H_

#include <string>
#include <string_view>

namespace corod {

// A folder of its own, which goes with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string Path(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Puts a new file there at once, in the place of an old one. Returns its path.
  std::string Put(std::string_view name, std::string_view content) const;
  void Remove(std::string_view name) const;

 private:
  std::string path_;
};

}  // namespace corod

#endif  // COROD_TESTS_UNIT_BASE_TEMPORARY_FILES_H_
