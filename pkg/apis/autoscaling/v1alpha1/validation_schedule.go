package v1alpha1

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

// validateWindow checks the lengths that the schema allows and that start, end
// and time zone parse.
func validateWindow(s Schedule, path *field.Path) field.ErrorList {
	values := map[string]string{"start": s.Start, "end": s.End, "timeZone": s.TimeZone}
	errs := validateShortText(s.Start, path.Child("start"), "a cron expression, for example 0 8 * * 1-5", maxCronLength)
	errs = append(errs, validateShortText(s.End, path.Child("end"), "a cron expression, for example 0 18 * * 1-5", maxCronLength)...)
	errs = append(errs, validateShortText(s.TimeZone, path.Child("timeZone"), "a name of the IANA database, for example Europe/Berlin", maxTimeZoneLength)...)
	if len(errs) > 0 {
		return errs
	}
	_, err := schedule.Parse(s.Name, s.Start, s.End, s.TimeZone)
	if err == nil {
		return nil
	}
	name, why, _ := strings.Cut(err.Error(), ": ")
	value, isField := values[name]
	if !isField {
		return field.ErrorList{field.Invalid(path, s.Name, err.Error())}
	}
	return field.ErrorList{field.Invalid(path.Child(name), value, strings.TrimLeft(strings.TrimPrefix(why, fmt.Sprintf("%q", value)), ": "))}
}
