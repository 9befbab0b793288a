#include "pastry/error.hpp"

#include <string>

#include "base/error.hpp"

namespace pastry {
namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "pastry"; }
    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::not_active: return "this node is not part of the ring yet";
            case Errc::no_route: return "no way to the destination";
            case Errc::join_failed: return "no member of the network answered";
        }
        return "unknown error " + std::to_string(value);
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
            case Errc::not_active: return std::errc::resource_unavailable_try_again;
            case Errc::no_route: return std::errc::host_unreachable;
            case Errc::join_failed: return std::errc::host_unreachable;
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

}  // namespace pastry
