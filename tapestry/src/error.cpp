#include "tapestry/error.hpp"

#include <string>

#include "base/error.hpp"

namespace tapestry {
namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "tapestry"; }
    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::not_published: return "nobody publishes the object";
            case Errc::roots_unreachable: return "the nodes that would know the object do not answer";
        }
        return "unknown error " + std::to_string(value);
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
            case Errc::not_published: return std::errc::io_error;  // ENOENT comes only from a verified directory
            case Errc::roots_unreachable: return std::errc::host_unreachable;
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

}  // namespace tapestry
