// Which commands use the store of a machine that joined no network: each holds a lock for as long as it runs, so it is
// given back however it ends.
#pragma once

#include <string>

namespace tools {

class StoreUsers {
  public:
    /// Counts us in. Where the file can neither be made nor opened (a medium that is read-only) nobody is counted.
    explicit StoreUsers(const std::string& path);
    ~StoreUsers();
    StoreUsers(const StoreUsers&) = delete;
    StoreUsers& operator=(const StoreUsers&) = delete;

    /// True if nobody else used the store at one moment during this call. False where nobody is counted.
    [[nodiscard]] bool only_us() const;

  private:
    int file_ = -1;
};

}  // namespace tools
