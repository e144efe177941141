#ifndef COROD_SERVER_BASE_INTRUSIVE_PTR_H_
#define COROD_SERVER_BASE_INTRUSIVE_PTR_H_

#include <atomic>
#include <cstdint>
#include <utility>

namespace corod {

// The count of an object that IntrusivePtrs share. Starts at 0.
class ReferenceCounted {
 public:
  ReferenceCounted() = default;
  ReferenceCounted(const ReferenceCounted&) = delete;
  ReferenceCounted& operator=(const ReferenceCounted&) = delete;

 private:
  template <typename T>
  friend class IntrusivePtr;
  std::atomic<std::uint32_t> references_{0};
};

// A shared pointer of 8 bytes to an object that derives from ReferenceCounted. As thread-safe as std::shared_ptr.
template <typename T>
class IntrusivePtr {
 public:
  IntrusivePtr() noexcept = default;
  explicit IntrusivePtr(T* object) noexcept : object_(object) {
    if (object_) object_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  IntrusivePtr(const IntrusivePtr& other) noexcept : IntrusivePtr(other.object_) {}
  IntrusivePtr(IntrusivePtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  IntrusivePtr& operator=(IntrusivePtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~IntrusivePtr() {
    if (object_ && object_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete object_;
  }

  T* get() const noexcept { return object_; }
  // For whoever has room for a pointer alone: what Detach gave up is shared again in Attach.
  [[nodiscard]] T* Detach() noexcept { return std::exchange(object_, nullptr); }
  static IntrusivePtr Attach(T* detached) noexcept {
    IntrusivePtr pointer;
    pointer.object_ = detached;
    return pointer;
  }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  friend bool operator==(const IntrusivePtr&, const IntrusivePtr&) = default;

 private:
  T* object_ = nullptr;
};

}  // namespace corod

#endif  // COROD_SERVER_BASE_INTRUSIVE_PTR_H_
