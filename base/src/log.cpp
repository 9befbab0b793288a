#include "base/log.hpp"

namespace base {

Log& silent_log() {
    class Silent final : public Log {
      public:
        void write(Level, const char*, std::string) override {}
        bool enabled(Level) const noexcept override { return false; }
    };
    static Silent log;
    return log;
}

}  // namespace base
