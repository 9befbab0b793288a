#include "base/error.hpp"

#include <cerrno>
#include <map>
#include <mutex>
#include <string>

namespace base {
namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "base"; }

    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::bad_format: return "malformed data";
            case Errc::bad_signature: return "the signature or tag does not verify";
            case Errc::bad_argument: return "it cannot be used";
            case Errc::unsupported: return "not supported by this version";
            case Errc::not_found: return "not found";
            case Errc::exists: return "exists already";
            case Errc::locked: return "in use by another process";
            case Errc::no_space: return "no space left";
            case Errc::io_failed: return "input/output error";
            case Errc::read_only: return "read-only";
            case Errc::denied: return "permission denied";
            case Errc::corrupt: return "damaged: the checksum does not match";
            case Errc::unreachable: return "cannot be reached";
            case Errc::timed_out: return "no answer in time";
            case Errc::not_a_member: return "not a member of this network";
            case Errc::peer_failed: return "the peer failed";
            case Errc::busy: return "busy";
            case Errc::stopped: return "stopping";
            case Errc::interrupted: return "interrupted";
            case Errc::wrong_key: return "the passphrase or key does not fit";
            case Errc::removed: return "removed from the network for good";
        }
        return "unknown error " + std::to_string(value);
    }

    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
            case Errc::bad_format: return std::errc::io_error;
            case Errc::bad_signature: return std::errc::io_error;
            case Errc::bad_argument: return std::errc::invalid_argument;
            case Errc::unsupported: return std::errc::not_supported;
            case Errc::not_found: return std::errc::no_such_file_or_directory;
            case Errc::exists: return std::errc::file_exists;
            case Errc::locked: return std::errc::device_or_resource_busy;
            case Errc::no_space: return std::errc::no_space_on_device;
            case Errc::io_failed: return std::errc::io_error;
            case Errc::read_only: return std::errc::read_only_file_system;
            case Errc::denied: return std::errc::permission_denied;
            case Errc::corrupt: return std::errc::io_error;
            case Errc::unreachable: return std::errc::host_unreachable;
            case Errc::timed_out: return std::errc::timed_out;
            case Errc::not_a_member: return std::errc::permission_denied;
            case Errc::peer_failed: return std::errc::io_error;
            case Errc::busy: return std::errc::resource_unavailable_try_again;
            case Errc::stopped: return std::errc::operation_canceled;
            case Errc::interrupted: return std::errc::interrupted;
            case Errc::wrong_key: return std::errc::permission_denied;
            case Errc::removed: return std::errc::permission_denied;
        }
        return {value, *this};
    }
};

struct Registry {
    std::mutex mutex;
    std::map<std::string, const std::error_category*, std::less<>> categories;
};

Registry& registry() {
    static Registry instance;
    return instance;
}

[[maybe_unused]] const bool registered = (register_error_category(error_category()), true);

}  // namespace

const std::error_category& error_category() noexcept {
    static const Category category;
    return category;
}

Errc from_errno(int value) noexcept {
    switch (value) {
        case ENOENT: return Errc::not_found;
        case EEXIST: return Errc::exists;
        case ENOTEMPTY: return Errc::exists;
        case ENOSPC: return Errc::no_space;
        case EDQUOT: return Errc::no_space;
        case EFBIG: return Errc::no_space;
        case EROFS: return Errc::read_only;
        case EACCES: return Errc::denied;
        case EPERM: return Errc::denied;
        case EINVAL: return Errc::bad_argument;
        case ENAMETOOLONG: return Errc::bad_argument;
        case ENOTDIR: return Errc::bad_argument;
        case EISDIR: return Errc::bad_argument;
        case ELOOP: return Errc::bad_argument;
        case EXDEV: return Errc::bad_argument;
        case ENOTSUP: return Errc::unsupported;
        case ENOSYS: return Errc::unsupported;
        case EBUSY: return Errc::busy;
        case EMFILE: return Errc::busy;
        case ENFILE: return Errc::busy;
        case ENOMEM: return Errc::busy;
        case EAGAIN: return Errc::busy;
        case EINTR: return Errc::interrupted;
        case ECONNREFUSED: return Errc::unreachable;
        case ECONNRESET: return Errc::unreachable;
        case EPIPE: return Errc::unreachable;
        case EHOSTUNREACH: return Errc::unreachable;
        case ENETUNREACH: return Errc::unreachable;
        case ETIMEDOUT: return Errc::timed_out;
        case EADDRINUSE: return Errc::locked;
        default: return Errc::io_failed;
    }
}

void register_error_category(const std::error_category& category) {
    auto& known = registry();
    const std::lock_guard lock{known.mutex};
    known.categories[category.name()] = &category;
}

std::error_code error_from_wire(std::string_view category, int value) noexcept {
    auto& known = registry();
    const std::lock_guard lock{known.mutex};
    const auto found = known.categories.find(category);
    if (found == known.categories.end() || value == 0) return Errc::peer_failed;
    return {value, *found->second};
}

}  // namespace base
