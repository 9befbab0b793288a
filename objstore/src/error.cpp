#include "objstore/error.hpp"

#include <string>

#include "base/error.hpp"
#include "past/error.hpp"

namespace objstore {
namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "objstore"; }
    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::no_such_volume: return "no such volume";
            case Errc::no_such_snapshot: return "no such snapshot";
            case Errc::no_such_path: return "no such file or directory in the snapshot";
            case Errc::damaged: return "the volume is damaged here";
            case Errc::wrong_key: return "the key does not open this volume";
            case Errc::collected: return "a prune took blocks of it before it was done";
            case Errc::conflict: return "another writer came first";
            case Errc::stale: return "the storage nodes offer an older state than this client has seen";
        }
        return "unknown error " + std::to_string(value);
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
            case Errc::no_such_volume: return std::errc::no_such_file_or_directory;
            case Errc::no_such_snapshot: return std::errc::no_such_file_or_directory;
            case Errc::no_such_path: return std::errc::no_such_file_or_directory;
            case Errc::damaged: return std::errc::io_error;
            case Errc::wrong_key: return std::errc::permission_denied;
            case Errc::collected: return std::errc::device_or_resource_busy;
            case Errc::conflict: return std::errc::resource_unavailable_try_again;
            case Errc::stale: return std::errc::io_error;
        }
        return {value, *this};
    }
};

const bool registered = (base::register_error_category(error_category()), true);

}  // namespace

const std::error_category& error_category() noexcept {
    static const Category category;
    return category;
}

bool is_isolated_damage(const std::error_code& code) noexcept {
    return code == Errc::damaged || code == base::Errc::io_failed;
}

bool may_succeed_later(const std::error_code& code) noexcept {
    return code == past::Errc::holders_unreachable || code == past::Errc::too_few_copies ||
           code == past::Errc::below_min_copies || code == base::Errc::unreachable || code == base::Errc::timed_out ||
           code == base::Errc::busy || code == base::Errc::stopped;
}

}  // namespace objstore
