#include "base/result.hpp"

namespace base {

std::string Error::message() const { return detail_.empty() ? code_.message() : detail_ + ": " + code_.message(); }

Error Error::with(std::string_view context) const {
    std::string detail{context};
    if (!detail_.empty()) detail.append(": ").append(detail_);
    return {code_, std::move(detail)};
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
    throw std::system_error{error.code(), error.detail()};
}

}  // namespace base
